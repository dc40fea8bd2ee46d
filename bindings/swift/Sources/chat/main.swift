// The README's ten lines of Swift: the verdict, the tokens of an answer as they come, and the end of it at will.
//
// usage: chat URL POLICY.json PROMPT COUNT     (stops after COUNT events; ATLS_SIM, if it is set, is where a simulator's roots are)
import Atls
import Foundation

func chat(_ client: AttestedClient, _ url: String, _ prompt: String, _ count: Int) async throws {
    // snippet: chat
    let body = #"{"stream": true, "messages": [{"role": "user", "content": "\#(prompt)"}]}"#
    let answer = try await client.send(  // attests first; throws AtlsError with the verdict if it is refused
        Request("POST", url + "/v1/chat/completions", body: .text(body)))
    for check in answer.verdict?.checks ?? [] { print(check.outcome, check.name) }
    var left = count
    for try await event in answer.events {  // server-sent events, as they arrive
        print(event.data)
        left -= 1
        if left == 0 { break }  // `answer` goes, and with it the rest; so does it if the task is canceled
    }
    // end of snippet
}

func read(_ path: String) throws -> [UInt8] { try [UInt8](Data(contentsOf: URL(fileURLWithPath: path))) }

let arguments = CommandLine.arguments
guard arguments.count == 5, let count = Int(arguments[4]) else {
    print("usage: chat URL POLICY.json PROMPT COUNT")
    exit(2)
}
do {
    var configuration = AttestedClient.Configuration(policy: try Policy(json: read(arguments[2])))
    if let simulator = ProcessInfo.processInfo.environment["ATLS_SIM"] {
        configuration.rootsPEM = [String(decoding: try read(simulator + "/web-ca.pem"), as: UTF8.self)]
        configuration.verifier = try Verifier(simulated: SimulatedRoots(root: read(simulator + "/root.der")))
    }
    try await chat(AttestedClient(configuration), arguments[1], arguments[3], count)
} catch let error as AtlsError {
    FileHandle.standardError.write(Data("\(error) \(error.check ?? "")\n".utf8))
    exit(1)
}
