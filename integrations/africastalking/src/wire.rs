//! The wire format of Africa's Talking.

use serde::Deserialize;

#[derive(Deserialize)]
pub struct Answer {
    #[serde(rename = "SMSMessageData")]
    pub data: Data,
}

#[derive(Deserialize)]
pub struct Data {
    #[serde(rename = "Message")]
    pub message: String,
    /// Empty where the whole request was refused.
    #[serde(rename = "Recipients")]
    pub recipients: Vec<Recipient>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recipient {
    pub status_code: u16,
    #[serde(default)]
    pub status: String,
    #[serde(default)]
    pub message_id: String,
}

impl Recipient {
    pub fn has_id(&self) -> bool {
        !matches!(self.message_id.as_str(), "" | "None")
    }
}
