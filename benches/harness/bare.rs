//! A bare actix-web handler: it answers the same bytes and headers as the shop did, with as many workers, and does nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpResponse, HttpServer};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::shared::shop::{Shop, free_port};

/// An answer of the shop, kept to be given again.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    port: u16,
    path: String,
    status: u16,
    headers: Vec<(String, String)>,
    /// In base64.
    body: String,
}

/// The process. It ends with this.
pub struct Bare {
    child: Child,
    pub port: u16,
    /// The ETag of the answer.
    pub etag: String,
    /// Bytes of the body.
    pub length: usize,
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Bare {
    /// Asks the shop, and starts a handler that answers the same.
    pub async fn of(shop: &Shop, path: &str, headers: &[(String, String)], file: PathBuf) -> Self {
        let ask = || headers.iter().fold(shop.http.get(shop.address(path)), |request, (name, value)| request.header(name, value));
        ask().send().await.unwrap(); // from now on it is in memory
        let given = ask().send().await.unwrap();
        let text = |value: &reqwest::header::HeaderValue| value.to_str().unwrap().to_owned();
        let status = given.status().as_u16();
        assert!(status == 200 || status == 304, "{path}: {status}");
        let etag = given.headers().get("etag").map(text).unwrap_or_default();
        // The server writes these itself.
        let own = |name: &str| matches!(name, "date" | "content-length" | "connection" | "transfer-encoding");
        let kept = given.headers().iter().filter(|(name, _)| !own(name.as_str()));
        let headers = kept.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        let body = given.bytes().await.unwrap();
        let port = free_port();
        let path_alone = path.split('?').next().unwrap_or(path).to_owned();
        let answer = Answer { port, path: path_alone, status, headers, body: STANDARD.encode(&body) };
        fs::write(&file, serde_json::to_vec(&answer).unwrap()).unwrap();
        let child = Command::new(std::env::current_exe().unwrap()).arg("--answer").arg(&file).spawn().unwrap();
        let bare = Self { child, port, etag, length: body.len() };
        let began = Instant::now();
        while shop.http.get(format!("http://127.0.0.1:{port}{path}")).send().await.is_err() {
            assert!(began.elapsed() < Duration::from_secs(10), "the bare handler never answered");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bare
    }
}

struct Kept {
    status: StatusCode,
    headers: Vec<(String, String)>,
    body: Bytes,
}

async fn answer(kept: Data<Kept>) -> HttpResponse {
    let mut response = HttpResponse::build(kept.status);
    for (name, value) in &kept.headers {
        response.insert_header((name.as_str(), value.as_str()));
    }
    response.body(kept.body.clone())
}

/// Answers what the file holds, until it is killed.
pub fn serve(file: &Path) {
    let answer_of: Answer = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let Answer { port, path, status, headers, body } = answer_of;
    let kept =
        Data::new(Kept { status: StatusCode::from_u16(status).unwrap(), headers, body: STANDARD.decode(body).unwrap().into() });
    let server = move || App::new().app_data(kept.clone()).route(&path, web::get().to(answer));
    let workers = std::thread::available_parallelism().map_or(1, Into::into);
    let server = HttpServer::new(server).workers(workers).bind(("127.0.0.1", port)).unwrap();
    actix_web::rt::System::new().block_on(server.run()).unwrap();
}
