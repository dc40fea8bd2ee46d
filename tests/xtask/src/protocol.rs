//! The examples beside a peer that was written from docs/protocol.md alone (tests/peers/attested.py), in each role and by each protocol.

use crate::server::Example;
use crate::shell::{Done, command, output, run};
use crate::simulator::Simulator;
use crate::{build, peers};

const PEER: &str = "tests/peers/attested.py";

pub fn examples(simulator: &Simulator) -> Done {
    println!("{PEER}");
    let file = |name: &str| simulator.file(name).display().to_string();
    let (chain, key, ca, agent) = (file("peer.pem"), file("peer-key.pem"), file("web-ca.pem"), file("agent.sock"));
    let theirs = [file("peer-agent.sock"), file("next.pem"), file("next-key.pem")];
    let example = |name: &str| {
        let mut example = command(build::tree("plain").join("examples-c").join(name));
        simulator.introduce(&mut example);
        example
    };
    // As client: of a server that asks for no certificate, and of one whose policy wants the log to name it.
    for (policy, roots) in [("peer-policy.json", None), ("peer-strict-policy.json", Some(&ca))] {
        let mut serve = example("attested_peer");
        serve.args(["serve", "0", &chain, &key, &file(policy), &agent]).args(roots);
        let server = Example::run(serve)?;
        run(command(peers::python()?).args([PEER, "ask", &server.port, &ca]).args(&theirs))?;
        server.stop()?;
    }
    let server = Example::attested(simulator, "agent.sock")?;
    run(command(peers::python()?).args([PEER, "atlas", &server.port, &ca]))?;
    server.stop()?;
    // As server.
    let mut serve = command(peers::python()?);
    serve.args([PEER, "serve", &ca, &agent, &chain, &key]);
    let server = Example::run(serve)?;
    let ask = |name: &str, arguments: &[&str]| output(example(name).args(arguments));
    let told = [
        ask("attested_peer", &["ask", "localhost", &server.port, &file("strict-policy.json"), &theirs[0]])?,
        ask("get", &["localhost", &server.port, &file("policy.json"), "/"])?,
    ];
    if let Some(told) = told.iter().find(|told| !told.ends_with("served by Python\n")) {
        return Err(format!("a client of {PEER} was told {told:?}"));
    }
    for (policy, why) in [("wrong-policy.json", "bootchain"), ("strict-policy.json", "EVIDENCE_REFUSED")] {
        match ask("get", &["localhost", &server.port, &file(policy), "/"]) {
            Err(told) if told.contains(why) => {}
            other => return Err(format!("a client of {PEER} under {policy}: {other:?}")),
        }
    }
    server.stop()
}
