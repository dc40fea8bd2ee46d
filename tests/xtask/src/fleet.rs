//! Servers on machines of several kinds under one policy, for the demo and the suite: each is trusted, and each that tells one lie is refused.

use crate::demo;
use crate::server::Example;
use crate::shell::{Done, cargo, root, run, step};
use crate::simulator::Simulator;

/// A machine's kind; the lie of its evil twin, and the check that notices it.
struct Machine {
    title: &'static str,
    tee: &'static str,
    lie: &'static str,
    check: &'static str,
}

const MACHINES: [Machine; 3] = [
    Machine {
        title: "an SEV-SNP guest",
        tee: "snp",
        lie: "can be debugged by its host",
        check: "any_of[1].guest_policy",
    },
    Machine {
        title: "a virtual machine of Azure",
        tee: "azure_snp_vtpm",
        lie: "shows a quote of another machine's TPM",
        check: "any_of[3].tpm_quote",
    },
    Machine { title: "a Nitro enclave", tee: "nitro", lie: "runs another image", check: "any_of[2].pcr:0" },
];

const POLICY: &str = "tdx-first.json";

pub fn show(simulator: &Simulator) -> Done {
    step("one policy for a fleet: a TDX guest, which it also trusts");
    let server = Example::attested(simulator, "agent.sock")?;
    demo::trusted(simulator, &server.port, POLICY)?;
    server.stop()?;
    for machine in MACHINES {
        step(&format!("the same policy: {}", machine.title));
        let server = serve(simulator, machine.tee, "evidence.sock")?;
        demo::trusted(simulator, &server.port, POLICY)?;
        server.stop()?;
        step(&format!("{} that {}: refused", machine.title, machine.lie));
        let server = serve(simulator, machine.tee, "evil-evidence.sock")?;
        demo::distrusted(simulator, &server.port, POLICY, &format!("FAIL  {}", machine.check))?;
        server.stop()?;
    }
    step("a TDX guest with two GPUs, under a policy that wants them");
    let server = with_gpus(simulator, "gpus.sock")?;
    demo::trusted(simulator, &server.port, "gpu-policy.json")?;
    server.stop()?;
    step("two GPUs that are one: refused");
    let server = with_gpus(simulator, "evil-gpus.sock")?;
    demo::distrusted(simulator, &server.port, "gpu-policy.json", "FAIL  gpu_distinct")?;
    server.stop()
}

fn with_gpus(simulator: &Simulator, socket: &str) -> Result<Example, String> {
    let file = |name| simulator.file(name).display().to_string();
    run(cargo().args(["build", "--quiet", "--locked", "--package", "simtee"]))?;
    let program = format!("{} gpus {}", root().join("target/debug/simtee").display(), file(socket));
    Example::start("gpu_server", &[&file("peer.pem"), &file("peer-key.pem"), &program, &file("agent.sock")])
}

fn serve(simulator: &Simulator, tee: &str, agent: &str) -> Result<Example, String> {
    let file = |name| simulator.file(name).display().to_string();
    Example::start("evidence_source", &[&file("peer.pem"), &file("peer-key.pem"), tee, &file(agent)])
}
