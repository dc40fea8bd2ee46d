//! What dstack guests measure: the runtime event log, the app-compose manifest and MRCONFIGID.

pub mod app_compose;
pub mod event_log;
pub mod key_provider;
pub mod mr_config;
