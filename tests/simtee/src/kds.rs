//! A key distribution service as AMD's, on loopback, plain HTTP: each document that it was told, and a count of who asked for what.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;

use crate::http::Conn;

pub struct Kds {
    pub url: String,
    /// By path, with the query.
    pub documents: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    pub hits: Arc<Mutex<Vec<String>>>,
    /// Answer everything with this status.
    pub fail: Arc<Mutex<Option<u16>>>,
}

impl Kds {
    pub async fn start() -> Kds {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let url = format!("http://{}", listener.local_addr().expect("address"));
        let kds = Kds { url, documents: Arc::default(), hits: Arc::default(), fail: Arc::default() };
        let (documents, hits, fail) = (kds.documents.clone(), kds.hits.clone(), kds.fail.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (documents, hits, fail) = (documents.clone(), hits.clone(), fail.clone());
                tokio::spawn(async move {
                    let mut conn = Conn::new(socket);
                    while let Ok(Some(request)) = conn.request().await {
                        hits.lock().expect("hits").push(request.path.clone());
                        let known = documents.lock().expect("documents").get(&request.path).cloned();
                        let refused = *fail.lock().expect("fail");
                        let (status, body) = match (refused, known) {
                            (Some(status), _) => (format!("{status} Failed"), Vec::new()),
                            (None, Some(body)) => ("200 OK".into(), body),
                            (None, None) => ("404 Not Found".into(), Vec::new()),
                        };
                        if conn.respond(&status, "Content-Type: application/pkix-cert\r\n", &body).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        kds
    }

    pub fn put(&self, path: &str, body: Vec<u8>) {
        self.documents.lock().expect("documents").insert(path.to_owned(), body);
    }

    /// How often something with `part` in its path was asked for.
    pub fn hits(&self, part: &str) -> usize {
        self.hits.lock().expect("hits").iter().filter(|path| path.contains(part)).count()
    }
}
