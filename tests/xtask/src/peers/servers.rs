//! Servers and proxies of others, on free ports of the loopback, for the tests of the client: tornado, nginx, tinyproxy, squid, microsocks.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::python;
use crate::shell::{Done, command, root};
use crate::simulator::Simulator;

/// Running until dropped. `file` has a line NAME=PORT for each.
pub struct Servers {
    children: Vec<Child>,
    folder: PathBuf,
    lines: Vec<String>,
    /// Of squid; removed in the end.
    users: Option<PathBuf>,
    pub file: PathBuf,
}

impl Servers {
    /// They have the certificate that the simulator made for them.
    pub fn start(simulator: &Simulator) -> Result<Servers, String> {
        let folder = root().join("target/servers");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("www")).map_err(|error| error.to_string())?;
        let file = folder.join("ports");
        let mut servers = Servers { children: Vec::new(), folder, lines: Vec::new(), users: None, file };
        servers.tornado(simulator)?;
        servers.nginx(simulator)?;
        servers.openssl(simulator, "OPENSSL", "-quiet")?;
        servers.openssl(simulator, "TLS12", "-tls1_2")?;
        servers.tinyproxy()?;
        servers.squid()?;
        servers.microsocks()?;
        servers.write(&servers.file, servers.lines.join("\n") + "\n")?;
        Ok(servers)
    }

    fn tornado(&mut self, simulator: &Simulator) -> Done {
        let ports = self.folder.join("web");
        let out = std::fs::File::create(&ports).map_err(|error| error.to_string())?;
        let mut web = command(python()?);
        web.arg("tests/peers/web.py").args([simulator.file("peer.pem"), simulator.file("peer-key.pem")]);
        self.children.push(spawn(web.stdin(Stdio::piped()).stdout(out))?);
        let printed = || std::fs::read_to_string(&ports).unwrap_or_default();
        wait("tornado", || printed().ends_with('\n'))?;
        self.lines.extend(printed().split_whitespace().map(str::to_owned));
        Ok(())
    }

    fn nginx(&mut self, simulator: &Simulator) -> Done {
        let (web, mutual) = (free_port()?, free_port()?);
        let folder = self.folder.display();
        let file = |name| simulator.file(name).display().to_string();
        let (chain, key, ca) = (file("peer.pem"), file("peer-key.pem"), file("web-ca.pem"));
        let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let paths: String = paths.iter().map(|name| format!("{name}_temp_path {folder}/{name};\n")).collect();
        let config = format!(
            "daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log /dev/null;\nevents {{}}\nhttp {{\n\
             access_log off;\n{paths}ssl_certificate {chain};\nssl_certificate_key {key};\nssl_protocols TLSv1.3;\n\
             server {{ listen 127.0.0.1:{web} ssl; root {folder}/www; gzip on; gzip_min_length 1; }}\n\
             server {{ listen 127.0.0.1:{mutual} ssl; ssl_verify_client on; ssl_client_certificate {ca};\n\
             return 200 \"$ssl_client_s_dn\"; }}\n}}\n"
        );
        let numbers: String = (0..20_000).map(|number| format!("{number:07}\n")).collect();
        self.write(&self.folder.join("www/numbers.html"), numbers)?;
        let path = self.folder.join("nginx.conf");
        self.write(&path, config)?;
        self.serve("NGINX", web, command("/usr/sbin/nginx").arg("-e").arg("/dev/null").arg("-c").arg(path))?;
        self.lines.push(format!("MUTUAL={mutual}"));
        Ok(())
    }

    /// Answers with a page about the session.
    fn openssl(&mut self, simulator: &Simulator, name: &str, flag: &str) -> Done {
        let number = free_port()?;
        let mut server = command("openssl");
        server.args(["s_server", "-www", flag, "-accept"]).arg(format!("127.0.0.1:{number}"));
        server.arg("-cert").arg(simulator.file("peer.pem")).arg("-key").arg(simulator.file("peer-key.pem"));
        self.serve(name, number, server.stdin(Stdio::null()))
    }

    /// Asks for the user "user" with the password "password", as the other proxies do, by basic authentication.
    fn tinyproxy(&mut self) -> Done {
        let port = free_port()?;
        let lines = format!("Port {port}\nListen 127.0.0.1\nTimeout 60\nBasicAuth user password\nLogLevel Critical\n");
        let path = self.folder.join("tinyproxy.conf");
        self.write(&path, lines)?;
        self.serve("PROXY", port, command("tinyproxy").args(["-d", "-c"]).arg(path))
    }

    /// By digest authentication.
    fn squid(&mut self) -> Done {
        let port = free_port()?;
        // Started by root, squid becomes a user who need not be able to read in our folder.
        let users = std::env::temp_dir().join(format!("atls-squid-users-{}", std::process::id()));
        let path = self.folder.join("squid.conf");
        self.write(&users, "user:password\n".into())?;
        self.users = Some(users.clone());
        let config = format!(
            "http_port 127.0.0.1:{port}\nauth_param digest program /usr/lib/squid/digest_file_auth {}\n\
             auth_param digest realm proxy\nauth_param digest children 1\nacl known proxy_auth REQUIRED\n\
             http_access allow known\nhttp_access deny all\ncache deny all\naccess_log none\ncache_log /dev/null\n\
             pid_filename none\nshutdown_lifetime 0 seconds\nvisible_hostname localhost\npinger_enable off\n\
             netdb_filename none\ncache_mem 1 MB\ncoredump_dir none\n",
            users.display()
        );
        self.write(&path, config)?;
        self.serve("SQUID", port, command("/usr/sbin/squid").args(["-N", "-f"]).arg(path))
    }

    fn microsocks(&mut self) -> Done {
        let port = free_port()?;
        let number = port.to_string();
        let arguments = ["-i", "127.0.0.1", "-p", &number, "-u", "user", "-P", "password"];
        self.serve("SOCKS", port, command("microsocks").args(arguments))
    }

    fn serve(&mut self, name: &str, port: u16, program: &mut Command) -> Done {
        self.children.push(spawn(program.stdout(Stdio::null()))?);
        self.lines.push(format!("{name}={port}"));
        wait(name, || TcpStream::connect(("127.0.0.1", port)).is_ok())
    }

    fn write(&self, path: &Path, text: String) -> Done {
        std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = self.users.as_ref().map(std::fs::remove_file);
    }
}

fn spawn(program: &mut Command) -> Result<Child, String> {
    program.stderr(Stdio::null()).spawn().map_err(|error| format!("{program:?}: {error}"))
}

/// Free now; not every one of these programs can choose one itself.
pub fn free_port() -> Result<u16, String> {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    free.map(|address| address.port()).map_err(|error| error.to_string())
}

fn wait(name: &str, is_there: impl Fn() -> bool) -> Done {
    let begun = Instant::now();
    while !is_there() {
        if begun.elapsed() > Duration::from_secs(30) {
            return Err(format!("{name} did not start"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
