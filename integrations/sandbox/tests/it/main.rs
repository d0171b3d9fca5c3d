//! The sandbox from outside: a real client, a real socket, a shop that listens.

mod africastalking;
mod bacen;
mod balance;
mod cep;
mod chaos;
mod control;
mod correios;
mod enotas;
mod faults;
mod floors;
mod harness;
mod journal;
mod keys;
mod mailbox;
mod melhorenvio;
mod melhorenvio_labels;
mod nfe;
mod openpix;
mod page;
mod propay;
mod resend;
mod smtp;
mod stripe;
mod stripe_disputes;
mod stripe_money;
mod webhooks;
