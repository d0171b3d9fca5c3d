//! What a connection may use up, by clients that read slowly or not at all, and how many there may be.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::shop::Shop;

/// More than any wait here takes.
const LONG: Duration = Duration::from_secs(20);
/// An answer that no kernel takes off our hands.
const LARGE: &str = "/openapi.json";

/// A connection whose own kernel takes little: what its client does not read stays with the server.
async fn connect(url: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    socket.connect(url.strip_prefix("http://").unwrap().parse().unwrap()).await.unwrap()
}

async fn ask(connection: &mut TcpStream, path: &str, how: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: {how}\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
}

/// Asks on a connection that stays open, and takes the answer. `false`: it was closed.
async fn is_served(connection: &mut TcpStream) -> bool {
    let request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    if connection.write_all(request).await.is_err() {
        return false;
    }
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        match connection.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(_) => return false,
        }
    }
    answer.starts_with(b"HTTP/1.1 200 OK")
}

/// Takes an answer to its end at this pace, on a connection that was asked to close after it. Its body.
async fn take_steadily(connection: &mut TcpStream, pace: Duration) -> Vec<u8> {
    let mut ticks = tokio::time::interval(pace);
    let (mut taken, mut piece) = (Vec::new(), [0; 16 * 1024]);
    loop {
        ticks.tick().await;
        match connection.read(&mut piece).await.unwrap() {
            0 => break,
            count => taken.extend_from_slice(&piece[..count]),
        }
    }
    let head = taken.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    taken.split_off(head + 4)
}

#[actix_web::test]
async fn a_reader_that_is_slow_but_steady_is_served_whole() {
    let shop = Shop::open_with(&[("HTTP_SEND_WAIT", "1s")]).await;
    let whole = shop.get(LARGE).await.bytes;
    let mut reader = connect(&shop.url).await;
    ask(&mut reader, LARGE, "close").await;
    let began = Instant::now();
    let taken = take_steadily(&mut reader, Duration::from_millis(100)).await;
    assert!(taken == whole, "{} of {} bytes", taken.len(), whole.len());
    assert!(began.elapsed() > Duration::from_millis(1_500), "it took longer than a client may do nothing");
    shop.close().await;
}

#[actix_web::test]
async fn readers_that_take_nothing_are_closed_and_nobody_else_feels_them() {
    let shop = Shop::open_with(&[("HTTP_SEND_WAIT", "1s"), ("OPS_TOKEN", "the-operators")]).await;
    let ana = shop.customer().await;
    let mug = shop.product("Caneca").create().await;
    let order = shop.buy_as_guest(&[(&mug, 1)]).await.body;
    let (id, token) = (order["id"].as_str().unwrap(), order["access_token"].as_str().unwrap());
    let events = format!("/api/orders/{id}/events");
    let mut quiet = shop.request("GET", &events).header("X-Order-Token", token).try_send().await.unwrap();
    let first = quiet.chunk().await.unwrap().unwrap();
    assert!(!first.is_empty());

    let began = Instant::now();
    let mut readers = Vec::new();
    for _ in 0..20 {
        let mut reader = connect(&shop.url).await;
        ask(&mut reader, LARGE, "keep-alive").await;
        readers.push(reader);
    }
    for _ in 0..20 {
        assert_eq!(ana.get("/api/cart").await.status, 200);
        assert_eq!(shop.get(LARGE).await.status, 200);
    }
    for mut reader in readers {
        timeout(LONG, reader.ready(Interest::ERROR)).await.expect("it is closed").unwrap();
        let (mut taken, whole) = (Vec::new(), shop.get(LARGE).await.bytes.len());
        let end = reader.read_to_end(&mut taken).await;
        assert!(end.is_err() || taken.len() < whole, "{} of {whole} bytes", taken.len());
    }
    assert!(began.elapsed() > Duration::from_millis(900), "not before its time");

    // The stream said nothing for as long. It is open, and tells what happens.
    let cancelled = shop.request("PATCH", &format!("/api/orders/{id}/cancel")).header("X-Order-Token", token);
    assert_eq!(cancelled.json(&json!({})).send().await.status, 200);
    let mut told = String::new();
    while !told.contains("cancelled") {
        let chunk = timeout(LONG, quiet.chunk()).await.unwrap().unwrap().expect("the stream is open");
        told.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    let figures = shop.request("GET", "/metrics").header("Authorization", "Bearer the-operators").send().await;
    let figures = String::from_utf8(figures.bytes).unwrap();
    assert!(figures.contains("vitrine_http_connections_closed_total{why=\"unread\"}"), "{figures}");
    shop.close().await;
}

#[actix_web::test]
async fn an_address_has_so_many_connections_and_a_place_that_is_given_back_is_free() {
    let shop = Shop::open_with(&[("HTTP_MAX_CONNECTIONS_PER_ADDRESS", "3"), ("OPS_TOKEN", "the-operators")]).await;
    let mut connections = Vec::new();
    for _ in 0..3 {
        let mut connection = connect(&shop.url).await;
        assert!(is_served(&mut connection).await);
        connections.push(connection);
    }
    for _ in 0..3 {
        assert!(!is_served(&mut connect(&shop.url).await).await);
    }
    assert!(is_served(&mut connections[0]).await, "those that are in are not concerned");
    connections.pop();
    let began = Instant::now();
    while !is_served(&mut connect(&shop.url).await).await {
        assert!(began.elapsed() < LONG, "a place gets free");
    }
    drop(connections);
    let figures = loop {
        // The last place is free once the server has noticed that its client left.
        let request = shop.request("GET", "/metrics").header("Authorization", "Bearer the-operators");
        match request.try_send().await {
            Ok(figures) => break figures.text().await.unwrap(),
            Err(refused) => assert!(began.elapsed() < LONG, "{refused}"),
        }
    };
    let refused = "vitrine_http_connections_refused_total{limit=\"HTTP_MAX_CONNECTIONS_PER_ADDRESS\"}";
    assert!(figures.contains(refused), "{figures}");
    shop.close().await;
}

#[actix_web::test]
async fn connections_of_a_trusted_proxy_count_in_all_and_not_by_their_address() {
    let limits = [("HTTP_MAX_CONNECTIONS_PER_ADDRESS", "1"), ("HTTP_MAX_CONNECTIONS", "3"), ("TRUSTED_PROXIES", "127.0.0.0/8")];
    let shop = Shop::open_with(&limits).await;
    let mut connections = Vec::new();
    for _ in 0..3 {
        let mut connection = connect(&shop.url).await;
        assert!(is_served(&mut connection).await);
        connections.push(connection);
    }
    assert!(!is_served(&mut connect(&shop.url).await).await);
    drop(connections);
    shop.close().await;
}

#[actix_web::test]
async fn an_answer_that_is_being_read_is_finished_while_the_server_stops() {
    let shop = Shop::open().await;
    let whole = shop.get(LARGE).await.bytes;
    let beside = shop.beside(&[]).await.unwrap();
    let (mut reader, mut idle) = (connect(&beside.url).await, connect(&beside.url).await);
    assert!(is_served(&mut idle).await);
    ask(&mut reader, LARGE, "keep-alive").await;
    let mut first = [0; 15];
    reader.read_exact(&mut first).await.unwrap();
    let (taken, ()) = tokio::join!(take_steadily(&mut reader, Duration::from_millis(10)), beside.drain());
    assert!(taken == whole, "{} of {} bytes", taken.len(), whole.len());
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap(); // to the end of the connection
    beside.stop().await;
    shop.close().await;
}

#[actix_web::test]
async fn large_bodies_that_are_read_at_once_are_bounded_together_and_small_ones_go_on() {
    let shop = Shop::open_with(&[("HTTP_MAX_BODIES_MB", "1")]).await;
    let large = vec![b' '; 800_000];
    let send = async || shop.request("POST", "/api/auth/login").body("application/json", large.clone()).send().await;
    assert_eq!(send().await.status, 400, "alone it is read, and it is no JSON");
    // The first client sends most of its body and stops.
    let mut slow = connect(&shop.url).await;
    let head =
        "POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 900000\r\n\r\n";
    let (bodies, counted) = (shop.app.bodies.clone().unwrap(), large.len() - 16 * 1024);
    let all = bodies.available_permits();
    slow.write_all(head.as_bytes()).await.unwrap();
    slow.write_all(&large).await.unwrap();
    // All of it is read before others send theirs: who comes first is refused last.
    let is_read = async {
        while all - bodies.available_permits() < counted {
            shop.get("/health").await;
        }
    };
    timeout(LONG, is_read).await.expect("what was sent is read");
    let refused = timeout(LONG, async {
        loop {
            let answer = send().await;
            if answer.status != 400 {
                break answer;
            }
        }
    });
    let refused = refused.await.unwrap();
    assert_eq!((refused.status, refused.slug(), refused.header("retry-after")), (503, "unavailable", Some("2")));
    let wrong = json!({"email": "ana@example.com", "password": "nenhuma-senha"});
    assert_eq!(shop.post("/api/auth/login", &wrong).await.status, 401, "a small one is read");
    drop(slow);
    timeout(LONG, async { while send().await.status != 400 {} }).await.expect("what it held is given back");
    shop.close().await;
}
