//! Guests who fill carts and place orders, each over a connection of their own. What is answered is counted, not parsed: the clock is
//! for the shop.

use std::time::Instant;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

use super::shop::{Shop, product};

const CEP: &str = "01310-100";
/// Freight quotes that are asked for; each is used for many orders.
const QUOTES: usize = 100;
const PRODUCTS: usize = 1000;

/// What each order is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    pub lines: usize,
    /// Everybody wants the one product.
    pub hot: bool,
    /// The order call starts a PIX as well.
    pub pix: bool,
}

/// Goods with their freight, to be ordered again and again.
pub struct Offers {
    each: Vec<(Vec<String>, Value)>,
}

/// A request of one client: when it was answered, in seconds from the beginning, and how long that took.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub end: f64,
    pub seconds: f64,
}

/// Calls a second of clients that work side by side, without the first ones of each: they pay for connections and plans.
pub fn rate(clients: &[Vec<Call>], skip: usize) -> f64 {
    let of = |calls: &Vec<Call>| {
        let (from, to) = (skip.checked_sub(1).map_or(0.0, |last| calls[last].end), calls[calls.len() - 1].end);
        (calls.len() - skip) as f64 / (to - from)
    };
    clients.iter().map(of).sum()
}

/// The 95th percentile of the same calls, in milliseconds.
pub fn p95_ms(clients: &[Vec<Call>], skip: usize) -> f64 {
    let mut times: Vec<f64> = clients.iter().flat_map(|calls| &calls[skip..]).map(|call| call.seconds * 1000.0).collect();
    times.sort_unstable_by(f64::total_cmp);
    times[times.len() * 95 / 100]
}

impl Shop {
    pub async fn post(&self, path: &str, cart: Option<&str>, body: &Value) -> (reqwest::header::HeaderMap, Value) {
        let request = self.http.post(self.address(path)).json(body);
        let answer = match cart {
            Some(token) => request.header("x-cart-token", token),
            None => request,
        };
        let answer = answer.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        (answer.headers().clone(), answer.json().await.unwrap())
    }

    /// Asks for the freight of what will be bought.
    pub async fn offers(&self, wish: Wish) -> Offers {
        let apart = PRODUCTS / wish.lines;
        let mut each = Vec::new();
        for first in 1..=if wish.hot { 1 } else { QUOTES.min(apart) } {
            let products: Vec<String> = (0..wish.lines).map(|line| product(first + line * apart)).collect();
            let items: Vec<Value> = products.iter().map(|id| json!({"product_id": id, "quantity": 1})).collect();
            let (_, freight) = self.post("/api/shipping/calculate", None, &json!({"cep_destino": CEP, "items": items})).await;
            let address = json!({"cep": CEP, "street": "Avenida Paulista", "number": "1000", "district": "Bela Vista",
                                 "city": "São Paulo", "state": "SP"});
            let mut order = json!({"name": "Ana Silva", "phone": "(11) 99999-0000", "address": address,
                                   "quote_token": freight["options"][0]["quote_token"]});
            if wish.pix {
                order["pay"] = json!({"method": "pix"});
            }
            each.push((products, order));
        }
        Offers { each }
    }

    /// Fills a new cart. Returns the request that orders it.
    pub async fn fill(&self, offers: &Offers) -> Vec<u8> {
        let n = self.people.replace(self.people.get() + 1);
        let (products, order) = &offers.each[n % offers.each.len()];
        let mut cart = None;
        for id in products {
            let (headers, _) = self.post("/api/cart/items", cart.as_deref(), &json!({"product_id": id, "quantity": 1})).await;
            cart = cart.or_else(|| Some(headers["x-cart-token"].to_str().unwrap().to_owned()));
        }
        let cart = cart.unwrap();
        let mut order = order.clone();
        order["email"] = json!(format!("pessoa{n}@example.com"));
        order["cpf"] = json!(cpf(n));
        request("POST", "/api/orders", &[("x-cart-token", &cart), ("idempotency-key", &cart)], &order.to_string())
    }

    /// So many carts for each of so many guests, filled side by side.
    pub async fn fill_all(&self, offers: &Offers, guests: usize, each: usize) -> Vec<Vec<Vec<u8>>> {
        join_all((0..guests).map(|_| async {
            let mut orders = Vec::new();
            for _ in 0..each {
                orders.push(self.fill(offers).await);
            }
            orders
        }))
        .await
    }

    /// Every client sends its requests one after the other, all clients side by side.
    pub async fn send_all(&self, clients: &[Vec<Vec<u8>>]) -> Vec<Vec<Call>> {
        let began = Instant::now();
        join_all(clients.iter().map(|requests| self.send(requests, began))).await
    }

    async fn send(&self, requests: &[Vec<u8>], began: Instant) -> Vec<Call> {
        let mut stream = BufStream::new(TcpStream::connect(("127.0.0.1", self.port)).await.unwrap());
        let mut calls = Vec::new();
        for request in requests {
            let sent = Instant::now();
            stream.write_all(request).await.unwrap();
            stream.flush().await.unwrap();
            let (mut line, mut length, mut status) = (String::new(), 0, String::new());
            while stream.read_line(&mut line).await.unwrap() > 2 {
                if let Some((_, text)) = line.to_lowercase().split_once("content-length: ") {
                    length = text.trim().parse().unwrap();
                }
                status = if status.is_empty() { line.clone() } else { status };
                line.clear();
            }
            let mut answer = vec![0; length];
            stream.read_exact(&mut answer).await.unwrap();
            assert!(status.starts_with("HTTP/1.1 2"), "{status}{}", String::from_utf8_lossy(&answer));
            calls.push(Call { end: began.elapsed().as_secs_f64(), seconds: sent.elapsed().as_secs_f64() });
        }
        calls
    }
}

/// A request as it is written to the connection.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    text.into_bytes()
}

/// The CPF of the n-th person who does not exist.
fn cpf(n: usize) -> String {
    let mut digits: Vec<usize> = format!("{:09}", 100_000_000 + n).bytes().map(|digit| usize::from(digit - b'0')).collect();
    for weight in [10, 11] {
        let sum: usize = digits.iter().zip((2..=weight).rev()).map(|(digit, factor)| digit * factor).sum();
        digits.push(sum * 10 % 11 % 10);
    }
    digits.iter().map(ToString::to_string).collect()
}
