//! Delivery reports: form-encoded and unsigned. A token in the URL, known only to them and us, authenticates them.

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use vitrine_kit::{Delivery, Forged};

/// A report with the right token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The id that `send` returned.
    pub id: String,
    /// Their status.
    pub status: String,
    pub news: SmsNews,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SmsNews {
    Delivered,
    Failed {
        /// Their reason, such as `UserInBlackList`.
        reason: String,
    },
    /// The phone was off or unreachable. Some networks keep trying and deliver it later.
    Absent,
    /// On its way, or a status that is not final.
    Underway,
}

impl SmsNews {
    /// The owner of the number opted out of SMS.
    pub fn says_no_more(&self) -> bool {
        matches!(self, Self::Failed { reason } if reason.eq_ignore_ascii_case("UserInBlackList"))
    }
}

impl Report {
    /// Reports have no ids, so the event's id is made of its contents.
    pub fn event_id(&self) -> String {
        format!("{}:{}", self.id, self.status)
    }
}

/// Compares the token of the query in constant time, then reads.
pub fn open_report(secret: &SecretString, delivery: &Delivery) -> Result<Report, Forged> {
    let secret = secret.expose_secret().as_bytes();
    let mut given = form_urlencoded::parse(delivery.query().as_bytes()).filter(|(name, _)| name == "token");
    let (Some((_, token)), None) = (given.next(), given.next()) else { return Err(Forged) };
    if secret.is_empty() || !bool::from(token.as_bytes().ct_eq(secret)) {
        return Err(Forged);
    }
    Ok(read_report(&delivery.body))
}

/// Reads a report whose token was checked before. A body that cannot be read gives an empty report.
pub fn read_report(body: &[u8]) -> Report {
    let (mut id, mut status, mut reason) = (String::new(), String::new(), String::new());
    for (name, value) in form_urlencoded::parse(body) {
        match name.as_ref() {
            "id" => id = short(&value),
            "status" => status = short(&value),
            "failureReason" => reason = short(&value),
            _ => {}
        }
    }
    let news = match status.as_str() {
        "Success" => SmsNews::Delivered,
        "AbsentSubscriber" => SmsNews::Absent,
        "Rejected" | "Failed" | "Expired" => SmsNews::Failed { reason: if reason.is_empty() { status.clone() } else { reason } },
        _ => SmsNews::Underway,
    };
    Report { id, status, news }
}

/// Cuts ids and words, which are short.
fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const SENT: &str = "id=ATXid_a1b2&status=Success&phoneNumber=%2B5511999990000&networkCode=99999&retryCount=0";

    fn open(query: &str, body: &str) -> Result<Report, Forged> {
        open_report(&"a-token/of+the shop".into(), &Delivery::new(Bytes::from(body.to_owned()), vec![], query))
    }

    #[test]
    fn the_token_opens_the_report() {
        let report = Report { id: "ATXid_a1b2".to_owned(), status: "Success".to_owned(), news: SmsNews::Delivered };
        assert_eq!(report.event_id(), "ATXid_a1b2:Success");
        assert_eq!(open("token=a-token%2Fof%2Bthe%20shop", SENT), Ok(report));
    }

    #[test]
    fn a_missing_wrong_or_doubled_token_is_forged() {
        let right = "token=a-token%2Fof%2Bthe%20shop";
        for query in
            ["", "token=", "token=a", "Token=a-token%2Fof%2Bthe%20shop", &format!("{right}x"), &format!("{right}&{right}")]
        {
            assert_eq!(open(query, SENT), Err(Forged), "{query}");
        }
        let nobodys = Delivery::new(Bytes::new(), vec![], "token=");
        assert_eq!(open_report(&"".into(), &nobodys), Err(Forged), "an empty secret would let anybody in");
    }

    #[test]
    fn only_their_last_words_are_final() {
        let news = |body: &str| open("token=a-token%2Fof%2Bthe%20shop", body).expect("the token is right").news;
        assert_eq!(news("id=1&status=AbsentSubscriber&failureReason=x"), SmsNews::Absent);
        for status in ["Sent", "Submitted", "Buffered", "", "success"] {
            assert_eq!(news(&format!("id=1&status={status}")), SmsNews::Underway, "{status}");
        }
        let failed = |reason: &str| SmsNews::Failed { reason: reason.to_owned() };
        assert_eq!(news("id=1&status=Rejected&failureReason=UserInBlackList"), failed("UserInBlackList"));
        assert!(failed("UserInBlacklist").says_no_more() && !failed("DeliveryFailure").says_no_more());
        assert_eq!(news("id=1&status=Failed"), failed("Failed"));
        assert_eq!(news("id=1&status=Expired"), failed("Expired"));
        assert_eq!(news("\u{1f4a5}{"), SmsNews::Underway);
    }
}
