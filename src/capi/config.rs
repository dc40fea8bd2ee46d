//! `atls_config`: where to connect, and what must hold there.

use std::ffi::c_char;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use rustls::ClientConfig;

use super::error::atls_error;
use super::guard::{guard, guard_free};
use super::handle::{borrow, borrow_mut, destroy, optional_text, put, require, text};
use super::policy::atls_policy;
use super::status::atls_status;
use super::verifier::atls_verifier;
use crate::attest::{Policy, TrustAnchors};
use crate::collateral::Verifier;
use crate::connect::{Proxy, Target, Timeouts, TunnelUrl};
use crate::error::{Error, Result, Status};
use crate::flow::lock;
use crate::http::client::{Client, Covered};
use crate::http::pool::{Limits, Pool};
use crate::http::text::basic_credentials;
use crate::tls::{Roots, client_config};

/// Default of the connect and TLS deadlines.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);
/// Default receive credit, in bytes.
const DEFAULT_CREDIT: u64 = 256 << 10;

/// Where to connect, and what must hold there. A builder: one thread at a time. Use one for all connections to a server: what is
/// costly to make (the TLS configuration) is then made once.
pub struct atls_config {
    host: String,
    port: u16,
    server_name: Option<String>,
    tunnel: Option<String>,
    proxy: Option<Arc<Proxy>>,
    policy: Option<Arc<Policy>>,
    unattested: bool,
    verifier: Option<Arc<Verifier>>,
    roots: Roots,
    timeouts: Timeouts,
    pub(crate) credit: u64,
    pub(crate) automatic_credit: bool,
    tls: Mutex<Option<(Roots, Arc<ClientConfig>)>>,
}

impl atls_config {
    /// Checks and freezes. No socket is opened before this has succeeded.
    pub(crate) fn target(&self) -> Result<Target> {
        if self.policy.is_none() && !self.unattested {
            let message = "no policy was set (atls_config_set_unattested connects without attestation)";
            return Err(Error::new(Status::InvalidState, message));
        }
        let tls = self.tls()?;
        let tunnel = self.tunnel.as_deref().map(|url| TunnelUrl::parse(url, &self.host, self.port)).transpose()?;
        let verifier = self.verifier(&tls);
        if let Some(policy) = &self.policy {
            check_anchors(policy, &verifier)?;
        }
        Ok(Target {
            host: self.host.clone(),
            port: self.port,
            server_name: self.server_name.clone().unwrap_or_else(|| self.host.clone()),
            tunnel,
            proxy: self.proxy.clone(),
            policy: self.policy.clone(),
            verifier,
            tls,
            timeouts: self.timeouts,
        })
    }

    /// The part that holds for every host of a client.
    pub(crate) fn client(&self, limits: Limits) -> Result<(Client, Roots)> {
        let tls = client_config(&self.roots)?;
        let verifier = self.verifier(&tls);
        let client = Client {
            pool: Arc::new(Pool::new(limits)),
            default: self.policy.as_ref().map(|policy| covered(policy, &self.roots, &verifier)).transpose()?,
            verifier,
            tls,
            timeouts: self.timeouts,
            tunnel: self.tunnel.clone(),
            proxy: self.proxy.clone(),
            unattested: self.unattested,
            policies: RwLock::default(),
        };
        Ok((client, self.roots.clone()))
    }

    fn verifier(&self, tls: &Arc<ClientConfig>) -> Arc<Verifier> {
        match &self.verifier {
            Some(verifier) => verifier.clone(),
            None => Arc::new(Verifier::new(TrustAnchors::default(), tls.clone())),
        }
    }

    fn tls(&self) -> Result<Arc<ClientConfig>> {
        let roots = with_roots_of(self.policy.as_deref(), &self.roots);
        let mut made = lock(&self.tls);
        match &*made {
            Some((of, config)) if *of == roots => Ok(config.clone()),
            _ => {
                let config = client_config(&roots)?;
                *made = Some((roots, config.clone()));
                Ok(config)
            }
        }
    }
}

fn with_roots_of(policy: Option<&Policy>, roots: &Roots) -> Roots {
    let mut roots = roots.clone();
    if let Some(policy) = policy {
        roots.extra_pem.extend(policy.extra_roots_pem.iter().cloned());
    }
    roots
}

/// A simulator's evidence counts only where verifier and policy both say so.
fn check_anchors(policy: &Policy, verifier: &Verifier) -> Result<()> {
    match verifier.anchors.simulated.is_some() && !policy.allow_simulated {
        true => {
            let message = "the verifier has a simulated root, but the policy does not say \"allow_simulated\": true";
            Err(Error::new(Status::TrustAnchor, message))
        }
        false => Ok(()),
    }
}

/// A policy of a client, with its TLS settings.
pub(crate) fn covered(policy: &Arc<Policy>, roots: &Roots, verifier: &Verifier) -> Result<Covered> {
    check_anchors(policy, verifier)?;
    Ok(Covered { policy: policy.clone(), tls: client_config(&with_roots_of(Some(policy), roots))? })
}

/// A configuration for `host` (name or address) and `port`. Without a policy connecting answers INVALID_STATE. Statuses:
/// NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_config_new(
    host: *const c_char,
    port: u16,
    config: *mut *mut atls_config,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        require(config, "config")?;
        let host = unsafe { text(host, "host") }?;
        let bad = |byte: u8| byte <= b' ' || byte == 0x7f || b"/@?#,\\".contains(&byte);
        if host.is_empty() || host.bytes().any(bad) {
            return Err(Error::new(Status::InvalidArgument, format!("host \"{}\" is not one", host.escape_debug())));
        }
        if port == 0 {
            return Err(Error::new(Status::InvalidArgument, "port is 0"));
        }
        let made = atls_config {
            host: host.to_owned(),
            port,
            server_name: None,
            tunnel: None,
            proxy: None,
            policy: None,
            unattested: false,
            verifier: None,
            roots: Roots::default(),
            timeouts: Timeouts { connect: Some(DEFAULT_TIMEOUT), tls: Some(DEFAULT_TIMEOUT) },
            credit: DEFAULT_CREDIT,
            automatic_credit: true,
            tls: Mutex::default(),
        };
        unsafe { put(config, Box::into_raw(Box::new(made)), "config") }
    })
}

/// Frees the builder.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_config_free(config: *mut atls_config) {
    guard_free(|| unsafe { destroy(config) });
}

/// The policy that the server must satisfy. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_config_set_policy(
    config: *mut atls_config,
    policy: *const atls_policy,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let policy = Arc::new(unsafe { borrow(policy, "policy") }?.policy.clone());
        let config = unsafe { borrow_mut(config, "config") }?;
        config.policy = Some(policy);
        config.unattested = false;
        Ok(())
    })
}

/// Connects with ordinary TLS and no attestation: such a connection proves nothing about what runs at its other end, and its
/// verdict is NULL. Drops the policy. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_config_set_unattested(
    config: *mut atls_config,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let config = unsafe { borrow_mut(config, "config") }?;
        config.policy = None;
        config.unattested = true;
        Ok(())
    })
}

/// The collateral store to share; the configuration keeps a reference. Without one each connection fetches for itself. Statuses:
/// NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_config_set_verifier(
    config: *mut atls_config,
    verifier: *const atls_verifier,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let verifier = unsafe { borrow(verifier, "verifier") }?.verifier.clone();
        unsafe { borrow_mut(config, "config") }?.verifier = Some(verifier);
        Ok(())
    })
}

/// The name to check the certificate against and to send as SNI, where it differs from the host; NULL for the host. Statuses:
/// NULL_ARGUMENT, INVALID_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_config_set_server_name(
    config: *mut atls_config,
    server_name: *const c_char,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let name = unsafe { optional_text(server_name, "server_name") }?.map(str::to_owned);
        unsafe { borrow_mut(config, "config") }?.server_name = name;
        Ok(())
    })
}

/// Goes through a WebSocket forwarder, `ws://` or `wss://`; the query parameter `target=host:port` is added unless it is there. NULL
/// for a direct connection. Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_config_set_tunnel(
    config: *mut atls_config,
    url: *const c_char,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let url = unsafe { optional_text(url, "url") }?.map(str::to_owned);
        let config = unsafe { borrow_mut(config, "config") }?;
        if let Some(url) = &url {
            TunnelUrl::parse(url, &config.host, config.port)?;
        }
        if url.is_some() && config.proxy.is_some() {
            return Err(Error::new(Status::Unsupported, "a tunnel through a proxy"));
        }
        config.tunnel = url;
        Ok(())
    })
}

/// Goes through an HTTP proxy, `http://host:port`, by CONNECT: what goes to the server is ciphertext to the proxy. `user` and `password` are
/// for its basic authentication, NULL for none. NULL for `url` takes the proxy away. A refusal is TUNNEL_REFUSED, with the proxy's status in
/// atls_error_http_status. Statuses: NULL_ARGUMENT, INVALID_UTF8, INVALID_ARGUMENT, UNSUPPORTED (another scheme; beside a tunnel).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_config_set_proxy(
    config: *mut atls_config,
    url: *const c_char,
    user: *const c_char,
    password: *const c_char,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let url = unsafe { optional_text(url, "url") }?;
        let (user, password) = unsafe { (optional_text(user, "user")?, optional_text(password, "password")?) };
        let credentials = match (user, password) {
            (None, None) => None,
            (user, password) => {
                let wrong = || Error::new(Status::InvalidArgument, "a colon in the user, or a control character");
                Some(basic_credentials(user.unwrap_or(""), password.unwrap_or("")).ok_or_else(wrong)?)
            }
        };
        let proxy = url.map(|url| Proxy::parse(url, credentials).map(Arc::new)).transpose()?;
        let config = unsafe { borrow_mut(config, "config") }?;
        if proxy.is_some() && config.tunnel.is_some() {
            return Err(Error::new(Status::Unsupported, "a tunnel through a proxy"));
        }
        config.proxy = proxy;
        Ok(())
    })
}

/// Also trusts these root certificates (PEM, one or more) for the server's chain. Statuses: NULL_ARGUMENT, INVALID_UTF8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_config_add_root_pem(
    config: *mut atls_config,
    pem: *const c_char,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let pem = unsafe { text(pem, "pem") }?.to_owned();
        unsafe { borrow_mut(config, "config") }?.roots.extra_pem.push(pem);
        Ok(())
    })
}

/// Which sets of roots to trust besides added ones: `webpki` is the built-in Mozilla set (on by default), `platform` the operating
/// system's store (off by default). Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_config_set_roots(
    config: *mut atls_config,
    webpki: bool,
    platform: bool,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let roots = &mut unsafe { borrow_mut(config, "config") }?.roots;
        roots.webpki = Some(webpki);
        roots.platform = platform;
        Ok(())
    })
}

/// Deadlines for connecting (names, TCP, tunnel) and for the TLS handshake, 20 seconds each by default. The evidence exchange has its
/// own in the policy. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_config_set_timeouts(
    config: *mut atls_config,
    connect_ms: u32,
    tls_ms: u32,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let timeouts = &mut unsafe { borrow_mut(config, "config") }?.timeouts;
        timeouts.connect = super::limit(connect_ms, DEFAULT_TIMEOUT);
        timeouts.tls = super::limit(tls_ms, DEFAULT_TIMEOUT);
        Ok(())
    })
}

/// Receive credit of event-driven handles, in bytes: `initial` to begin with (0 holds everything back), and whether what an event took
/// is granted again once the host is done with it. Default: 256 KiB, automatic. Statuses: NULL_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn atls_config_set_credit(
    config: *mut atls_config,
    initial: u64,
    automatic: bool,
    error: *mut *mut atls_error,
) -> atls_status {
    guard(error, || {
        let config = unsafe { borrow_mut(config, "config") }?;
        config.credit = initial;
        config.automatic_credit = automatic;
        Ok(())
    })
}
