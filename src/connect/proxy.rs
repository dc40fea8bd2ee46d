//! Proxies: HTTP by CONNECT, or SOCKS5 (RFC 1928, 1929). A proxy is as untrusted as any network: TLS and evidence run end to end through it. Touches sockets.

use tokio_socks::tcp::Socks5Stream;
use tokio_socks::{Error as SocksError, TargetAddr};
use url::{Host, Url};

use super::http_proxy;
use crate::error::{Detail, Error, Phase, Result, Status};
use crate::io::dialling::Dial;
use crate::io::{Socket, dialling};
use crate::log;
pub use crate::message::credentials::Login;
use crate::tunnel::Transport;

/// A proxy, and the login for it.
#[derive(Clone, Debug)]
pub struct Proxy {
    kind: Kind,
    host: String,
    port: u16,
    login: Option<Login>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Http,
    /// Names are looked up here.
    Socks,
    /// Names are looked up by the proxy.
    SocksWithNames,
}

impl Proxy {
    /// `http://host:port` (port 80), `socks5://host:port` or `socks5h://host:port` (port 1080), and nothing else.
    pub fn parse(text: &str, login: Option<Login>) -> Result<Proxy> {
        let invalid = |why: &str| Error::new(Status::InvalidArgument, format!("proxy URL: {why}"));
        let url = Url::parse(text).map_err(|error| invalid(&error.to_string()))?;
        let (kind, port) = match url.scheme() {
            "http" => (Kind::Http, 80),
            "socks5" => (Kind::Socks, 1080),
            "socks5h" => (Kind::SocksWithNames, 1080),
            other => return Err(Error::new(Status::Unsupported, format!("proxy URL: scheme \"{other}\""))),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("credentials are an argument of their own"));
        }
        if !matches!(url.path(), "/" | "") || url.query().is_some() || url.fragment().is_some() {
            return Err(invalid("more than host and port"));
        }
        // The parser takes hosts apart only for schemes that it knows.
        let host = match url.host().map(|host| Host::parse(&host.to_string())) {
            Some(Ok(Host::Domain(name))) => name,
            Some(Ok(Host::Ipv4(address))) => address.to_string(),
            Some(Ok(Host::Ipv6(address))) => address.to_string(),
            _ => return Err(invalid("no host")),
        };
        Ok(Proxy { kind, host, port: url.port().unwrap_or(port), login })
    }

    /// Whether it takes requests for http: URLs itself.
    pub fn speaks_http(&self) -> bool {
        self.kind == Kind::Http
    }

    pub fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    /// Connects to the proxy only.
    pub async fn reach(&self, dial: &Dial) -> Result<Transport> {
        self.dial(dial).await.map(Transport::Tcp)
    }

    /// Connects to `host:port` through the proxy.
    pub async fn open(&self, host: &str, port: u16, dial: &Dial) -> Result<Transport> {
        let done = self.lead(host, port, dial).await;
        log::emit(log::DEBUG, || {
            let said = done.as_ref().err().map_or_else(|| "it leads there".into(), log::reason);
            format!("proxy: {}: to {}: {said}", log::place(&self.host, self.port), log::place(host, port))
        });
        done
    }

    async fn lead(&self, host: &str, port: u16, dial: &Dial) -> Result<Transport> {
        let target = match self.kind {
            Kind::Http => {
                let login = self.login.as_ref();
                let (socket, refused) = http_proxy::open(self.dial(dial).await?, host, port, login, None).await?;
                let Some(answer) = refused else { return Ok(Transport::Tcp(socket)) };
                // The proxy may have closed the connection; the answer is good for another one as well.
                drop(socket);
                let again = http_proxy::open(self.dial(dial).await?, host, port, login, Some(answer)).await?;
                return Ok(Transport::Tcp(again.0));
            }
            Kind::Socks => TargetAddr::Ip(dialling::resolve(host, port, dial).await?[0]),
            Kind::SocksWithNames => match host.parse() {
                Ok(address) => TargetAddr::Ip(std::net::SocketAddr::new(address, port)),
                Err(_) => TargetAddr::Domain(host.to_owned().into(), port),
            },
        };
        let socket = self.dial(dial).await?;
        let through = match &self.login {
            None => Socks5Stream::connect_with_socket(socket, target).await,
            Some(login) => {
                let (user, password) = (login.user(), login.password());
                Socks5Stream::connect_with_password_and_socket(socket, target, user, password).await
            }
        };
        through.map(|stream| Transport::Tcp(stream.into_inner())).map_err(socks_error)
    }

    async fn dial(&self, dial: &Dial) -> Result<Socket> {
        dialling::dial(&self.host, self.port, dial).await.map_err(|error| error.context("proxy"))
    }
}

fn socks_error(error: SocksError) -> Error {
    if let SocksError::Io(error) = error {
        return Error::from_io(error, Phase::Tunnel).context("proxy");
    }
    let status = match &error {
        SocksError::InvalidAuthValues(_) | SocksError::InvalidTargetAddress(_) => Status::InvalidArgument,
        SocksError::InvalidResponseVersion
        | SocksError::InvalidReservedByte
        | SocksError::UnknownAddressType
        | SocksError::UnknownAuthMethod
        | SocksError::UnknownError => Status::HttpProtocol,
        _ => Status::TunnelRefused,
    };
    let detail = match &error {
        SocksError::PasswordAuthFailure(_)
        | SocksError::AuthorizationRequired
        | SocksError::NoAcceptableAuthMethods => Detail::ProxyLogin,
        _ if status == Status::TunnelRefused => Detail::ProxyRefused,
        _ => Detail::None,
    };
    Error::new(status, format!("proxy: {error}")).phase(Phase::Tunnel).detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_a_proxy_is_scheme_host_and_port() {
        for (text, kind, host, port) in [
            ("http://Proxy.example", Kind::Http, "proxy.example", 80),
            ("http://[::1]:8080/", Kind::Http, "::1", 8080),
            ("socks5://127.0.0.1", Kind::Socks, "127.0.0.1", 1080),
            ("socks5h://Proxy.example:9", Kind::SocksWithNames, "proxy.example", 9),
            ("socks5://[::1]:9", Kind::Socks, "::1", 9),
        ] {
            let proxy = Proxy::parse(text, None).unwrap();
            assert_eq!((proxy.kind, &*proxy.host, proxy.port), (kind, host, port), "{text}");
        }
        for text in ["", "x", "https://p/", "socks4://p", "http://u@p/", "http://p/x", "socks5://p?x", "socks5://"] {
            assert!(Proxy::parse(text, None).is_err(), "{text}");
        }
    }
}
