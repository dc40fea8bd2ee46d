//! The simulated world as files and sockets, for programs in other languages.
//!
//! | file | what |
//! |---|---|
//! | web-ca.pem, root.der | roots for TLS and for quotes |
//! | peer.pem, peer-key.pem | a certificate of the web CA for localhost, for servers and clients |
//! | next.pem, next-key.pem | another one, as after a renewal |
//! | agent.sock, policy.json | a guest's agent, and a policy that it satisfies |
//! | peer-agent.sock, peer-policy.json | another guest's, with another boot chain, for clients: by exporter-v1, certificate or not |
//! | peer-strict-policy.json | the same, for clients with a certificate that their log names |
//! | evil-agent.sock | an agent of the first guest whose quotes are bound to another session |
//! | wrong-policy.json | a policy that neither satisfies |
//! | strict-policy.json | as policy.json, by exporter-v1 only |
//! | quote.bin, log.json, collateral.json | evidence for offline verification |
//! | outdated-collateral.json, revoked-collateral.json | documents by which its platform is OutOfDate or Revoked |
//! | evidence.sock, nsm.sock | machines of other kinds, see `machines` |
//! | snp-policy.json, nitro-policy.json | policies that they satisfy |
//! | ra-tls.pem, ra-tls-key.pem, ra-tls-policy.json | a certificate that carries the first guest's evidence, and policy.json with consent to such |
//! | evil-ra-tls.pem, evil-ra-tls-key.pem | one that carries evidence about another key |
//! | gpus.sock, evil-gpus.sock, gpu-policy.json | GPUs beside the first guest, see `machines`, and a policy that wants both |
//! | amd-roots.pem, aws-root.pem, microsoft-root.pem, nvidia-root.pem | the roots that their evidence leads to |
//! | tdx-first.json, snp-first.json, nitro-first.json | policies that the first guest and each of the machines satisfy, by exporter-v1, with one kind first |
//! | ports | shell assignments; written last |

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use crate::azure::Microsoft;
use crate::collateral::Issue;
use crate::kds::Kds;
use crate::machines;
use crate::nitro::Aws;
use crate::nvidia::Nvidia;
use crate::pccs::Pccs;
use crate::snp::{Amd, Product};
use crate::{Guest, SimTee, agent, ra_tls};

pub struct World {
    pub tee: Arc<SimTee>,
    folder: PathBuf,
    pub pccs: Pccs,
    pub kds: Kds,
}

impl World {
    /// Writes everything but `ports`, and serves collateral and agents as long as the runtime runs.
    pub async fn start(folder: &Path) -> World {
        std::fs::create_dir_all(folder).expect("DIR");
        let tee = Arc::new(SimTee::new());
        let pccs = Pccs::start(tee.clone()).await;
        let world = World { tee, folder: folder.to_owned(), pccs, kds: Kds::start().await };
        world.certificates();
        world.guests();
        world.machines();
        world.ra_tls();
        world
    }

    fn certificates(&self) {
        self.write("web-ca.pem", self.tee.web_ca_pem.as_bytes());
        self.write("root.der", &self.tee.root_der);
        for (name, names) in
            [("peer", &["localhost", "127.0.0.1", "::1", "other.example"][..]), ("next", &["localhost"])]
        {
            let (chain, key) = self.tee.web_pem(names);
            self.write(&format!("{name}.pem"), chain.as_bytes());
            self.write(&format!("{name}-key.pem"), key.as_bytes());
        }
    }

    fn guests(&self) {
        let (guest, mut peer) = (Guest::booted(1), Guest::booted(2));
        peer.mrtd = [0x12; 48];
        self.agent("agent.sock", &guest, |_| ());
        self.agent("peer-agent.sock", &peer, |_| ());
        self.agent("evil-agent.sock", &guest, |report_data| report_data[0] ^= 1);
        let url = &self.pccs.url;
        let mut policy = guest.policy(url);
        self.write("policy.json", policy.to_string().as_bytes());
        let (mut strict, mut other) = (policy.clone(), peer.policy(url));
        for policy in [&mut strict, &mut other] {
            policy["binding"] = json!({"protocols": ["exporter-v1"]});
        }
        self.write("strict-policy.json", strict.to_string().as_bytes());
        strict["gpu"] = machines::gpu_block();
        self.write("gpu-policy.json", strict.to_string().as_bytes());
        self.write("peer-strict-policy.json", other.to_string().as_bytes());
        other["identity"] = json!({"require_key_event": false});
        self.write("peer-policy.json", other.to_string().as_bytes());
        policy["expected_bootchain"]["mrtd"] = "ee".repeat(48).into();
        self.write("wrong-policy.json", policy.to_string().as_bytes());
        self.write("quote.bin", &guest.quote(&self.tee, &[0; 64]));
        self.write("log.json", guest.log().to_string().as_bytes());
        self.write("collateral.json", self.tee.collateral_json(&Issue::default()).as_bytes());
        for (status, name) in [("OutOfDate", "outdated-collateral.json"), ("Revoked", "revoked-collateral.json")] {
            let issue = Issue { status, advisories: vec!["INTEL-SA-00837"], ..Issue::default() };
            self.write(name, self.tee.collateral_json(&issue).as_bytes());
        }
    }

    fn ra_tls(&self) {
        let guest = Guest::booted(1);
        for (name, is_honest) in [("ra-tls", true), ("evil-ra-tls", false)] {
            let (chain, key) = ra_tls::certificate(&self.tee, &guest, is_honest);
            self.write(&format!("{name}.pem"), chain.as_bytes());
            self.write(&format!("{name}-key.pem"), key.as_bytes());
        }
        let mut policy = guest.policy(&self.pccs.url);
        policy["binding"] = json!({"protocols": ["ra-tls"]});
        policy["ra_tls"] = json!({"formats": ["dstack"], "max_age_s": ra_tls::VALID});
        self.write("ra-tls-policy.json", policy.to_string().as_bytes());
    }

    fn machines(&self) {
        let (snp, nitro) = (machines::snp_policy(&self.kds), machines::nitro_policy());
        let azure = machines::azure_policy(&self.kds);
        self.write("snp-policy.json", snp.to_string().as_bytes());
        self.write("nitro-policy.json", nitro.to_string().as_bytes());
        self.write("amd-roots.pem", Amd::of(Product::Genoa).roots_pem().as_bytes());
        self.write("aws-root.pem", Aws::get().root_pem.as_bytes());
        self.write("microsoft-root.pem", Microsoft::get().root_pem.as_bytes());
        self.write("nvidia-root.pem", Nvidia::get().root_pem.as_bytes());
        let mut members = [Guest::booted(1).policy(&self.pccs.url), snp, nitro, azure];
        for member in &mut members {
            // Said once, of all members.
            let member = member.as_object_mut().expect("a policy");
            member.retain(|name, _| !["collateral", "allow_simulated"].contains(&name.as_str()));
        }
        for first in ["tdx-first.json", "snp-first.json", "nitro-first.json"] {
            let collateral = json!({"amd_sources": [self.kds.url]});
            let policy = json!({"any_of": members, "collateral": collateral, "allow_simulated": true});
            self.write(first, policy.to_string().as_bytes());
            members.rotate_left(1);
        }
        machines::start(&self.folder);
    }

    fn agent(&self, name: &str, guest: &Guest, change: fn(&mut [u8; 64])) {
        let socket = self.folder.join(name);
        let _ = std::fs::remove_file(&socket);
        agent::start(&socket, self.tee.clone(), guest.clone(), change);
    }

    fn write(&self, name: &str, data: &[u8]) {
        std::fs::write(self.folder.join(name), data).expect(name);
    }

    /// Who waits for `ports` finds all the others: it is there at once, and whole. The world's own PCCS comes after these.
    pub fn ready(&self, servers: &str) {
        let pccs = self.pccs.url.rsplit_once(':').expect("a port").1;
        self.write("ports.new", format!("{servers}PCCS={pccs}\n").as_bytes());
        std::fs::rename(self.folder.join("ports.new"), self.folder.join("ports")).expect("ports");
    }
}
