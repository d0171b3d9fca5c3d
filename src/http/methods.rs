//! Which methods an address takes: for whoever asks with another one (RFC 9110, 15.5.6), or asks which (9.3.7).

use actix_web::dev::ResourceDef;
use actix_web::http::header::ALLOW;
use actix_web::http::{Method, StatusCode};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use crate::error::{Error, Result};

/// In which they are named.
const ORDER: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// Every address that there is, with its methods.
#[derive(Debug)]
pub struct Methods(Vec<(ResourceDef, Vec<Method>)>);

impl Methods {
    /// Of (address, method) pairs, in any order; `{…}` is a part that varies. HEAD goes with GET.
    pub fn of(routes: impl IntoIterator<Item = (String, Method)>) -> Self {
        let mut all: Vec<(String, Vec<Method>)> = Vec::new();
        for (path, method) in routes {
            let also = (method == Method::GET).then_some(Method::HEAD);
            let new = [method].into_iter().chain(also);
            match all.iter_mut().find(|(other, _)| *other == path) {
                Some((_, methods)) => methods.extend(new),
                None => all.push((path, new.collect())),
            }
        }
        Self(all.into_iter().map(|(path, methods)| (ResourceDef::new(path), methods)).collect())
    }

    /// As the header `Allow` says it. `None`: there is no such address.
    fn allow(&self, path: &str) -> Option<String> {
        let mut found: Vec<&str> = Vec::new();
        for method in self.0.iter().filter(|(address, _)| address.is_match(path)).flat_map(|(_, methods)| methods) {
            if !found.contains(&method.as_str()) {
                found.push(method.as_str());
            }
        }
        if found.is_empty() {
            return None;
        }
        found.sort_by_key(|method| ORDER.iter().position(|other| other == method));
        found.push("OPTIONS");
        Some(found.join(", "))
    }
}

/// What answers where no route does. OPTIONS of a browser's preflight never comes here.
pub async fn no_route(req: HttpRequest, methods: Data<Methods>) -> Result<HttpResponse> {
    let path = req.match_info().as_str(); // decoded, as routes are matched
    match methods.allow(path) {
        Some(allow) if req.method() == Method::OPTIONS => {
            Ok(HttpResponse::build(StatusCode::NO_CONTENT).insert_header((ALLOW, allow)).finish())
        }
        Some(allow) => Err(Error::MethodNotAllowed(allow)),
        None => Err(Error::NotFound("This address")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_takes_the_methods_of_all_its_routes() {
        let routes = [("/a/{id}", Method::PUT), ("/b", Method::POST), ("/a/me", Method::DELETE), ("/a/{id}", Method::GET)];
        let methods = Methods::of(routes.map(|(path, method)| (path.to_owned(), method)));
        assert_eq!(methods.allow("/a/1").as_deref(), Some("GET, HEAD, PUT, OPTIONS"));
        assert_eq!(methods.allow("/a/me").as_deref(), Some("GET, HEAD, PUT, DELETE, OPTIONS"));
        assert_eq!(methods.allow("/b").as_deref(), Some("POST, OPTIONS"));
        assert_eq!((methods.allow("/a"), methods.allow("/a/1/2")), (None, None));
    }
}
