//! The life of a parcel: a label in a cart, paid, made, posted, carried, delivered. What carriers scan on the way is kept, so that any
//! provider that is asked for a tracking number can tell.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::books::Books;
use crate::books::parcels::{Parcel, ParcelStatus, ParcelStep};
use crate::providers::melhorenvio::news;
use crate::world::World;
use crate::world::orders::{Refused, SendWebhook};

/// By the provider's id, the tag, the tracking number or the protocol; the last one that fits.
pub(crate) fn find<'a>(books: &'a Books, id: &str) -> Option<&'a Parcel> {
    let fits = |p: &&Parcel| p.tag.as_deref() == Some(id) || p.tracking.as_deref() == Some(id) || p.protocol == id;
    books.parcels.get(id).or_else(|| books.parcels.rows.iter().rev().find(fits))
}

/// What is left to buy labels with.
pub(crate) fn balance(world: &World, books: &Books) -> i64 {
    let spent: i64 = books.parcels.rows.iter().filter(|p| p.is_bought()).map(|p| p.price_cents).sum();
    world.label_balance.load(Ordering::Relaxed) - spent
}

/// Everything that was due goes a step on.
pub(crate) fn pass_time(world: &World, books: &mut Books, now: Timestamp) {
    while let Some(parcel) = books.parcels.first_due(now).cloned() {
        let is_out = parcel.scans.iter().any(|scan| scan.code == "OEC");
        let next = match parcel.status {
            ParcelStatus::Released => Some(ParcelStep::Generate),
            ParcelStatus::Generated => Some(ParcelStep::Post),
            ParcelStatus::Posted if !is_out => Some(ParcelStep::OutForDelivery),
            ParcelStatus::Posted => Some(ParcelStep::Deliver),
            _ => None,
        };
        let parcel = Parcel { moves_at: None, ..parcel };
        books.put(parcel.clone()); // it leaves the waiting ones, so this ends
        if let Some(step) = next {
            drop(go(world, books, parcel, step, SendWebhook::Once));
        }
    }
}

/// One step, if it is one from here.
pub(crate) fn go(
    world: &World,
    books: &mut Books,
    parcel: Parcel,
    step: ParcelStep,
    how: SendWebhook,
) -> Result<Parcel, Refused> {
    use ParcelStatus::{Canceled, Delivered, Expired, Generated, Pending, Posted, Released, Suspended, Undelivered};
    let now = Timestamp::now();
    let mut p = Parcel { updated_at: now, moves_at: None, ..parcel };
    let event = match (step, p.status) {
        (ParcelStep::Pay, Pending) => {
            (p.status, p.paid_at) = (Released, Some(now));
            Some("order.released")
        }
        (ParcelStep::Generate, Released) => {
            (p.status, p.generated_at) = (Generated, Some(now));
            p.tracking = Some(tracking_number(&p.id));
            Some("order.generated")
        }
        (ParcelStep::Post, Generated | Suspended) => {
            (p.status, p.posted_at) = (Posted, Some(now));
            p.scan("PO", "01", "Objeto postado", "from", now);
            Some("order.posted")
        }
        (ParcelStep::OutForDelivery, Posted | Undelivered) => {
            p.scan("OEC", "01", "Objeto saiu para entrega ao destinatário", "to", now);
            None
        }
        (ParcelStep::Deliver, Posted | Undelivered | Suspended) => {
            (p.status, p.delivered_at) = (Delivered, Some(now));
            p.scan("BDE", "01", "Objeto entregue ao destinatário", "to", now);
            Some("order.delivered")
        }
        (ParcelStep::Return, Posted | Suspended) => {
            p.status = Undelivered;
            p.scan("BDE", "20", "Carteiro não atendido", "to", now);
            Some("order.undelivered")
        }
        (ParcelStep::Suspend, Generated | Posted) => {
            p.status = Suspended;
            Some("order.suspended")
        }
        (ParcelStep::Expire, Pending | Released | Generated) => {
            (p.status, p.expired_at) = (Expired, Some(now));
            None
        }
        (ParcelStep::Cancel, Released | Generated) => {
            (p.status, p.canceled_at) = (Canceled, Some(now));
            Some("order.cancelled")
        }
        (_, status) => return Err(Refused::Invalid(format!("a parcel that is {} cannot do that", status.name()))),
    };
    p.moves_at = pause(world, &p).and_then(|pause| later(now, pause));
    books.put(p.clone());
    if let Some(event) = event {
        news::tell(world, books, &p, event, how);
    }
    Ok(p)
}

/// How long it rests where it is, if it goes on by itself: a pace until it is posted, another one until it is delivered.
fn pause(world: &World, parcel: &Parcel) -> Option<Duration> {
    match parcel.status {
        ParcelStatus::Generated => world.cfg.parcel_pace,
        ParcelStatus::Posted => world.cfg.parcel_pace.map(|pace| pace / 2),
        _ => None,
    }
}

/// The label will be made soon: they do not do it at once.
pub(crate) fn begin_label(world: &World, books: &mut Books, parcel: Parcel) {
    let takes = Duration::from_millis(world.label_takes_ms.load(Ordering::Relaxed));
    let moves_at = later(Timestamp::now(), takes);
    books.put(Parcel { moves_at, ..parcel });
}

fn later(at: Timestamp, by: Duration) -> Option<Timestamp> {
    at.checked_add(SignedDuration::try_from(by).ok()?).ok()
}

/// `ME123456785BR`, the same for the same parcel. The ninth digit is the check digit of the postal services.
fn tracking_number(id: &str) -> String {
    let serial = id.bytes().fold(7_u64, |sum, b| sum.wrapping_mul(1_099_511_628_211) ^ u64::from(b)) % 100_000_000;
    let serial = format!("{serial:08}");
    let sum: u32 = serial.bytes().zip([8, 6, 4, 2, 3, 5, 9, 7]).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    let digit = match sum % 11 {
        0 => 5,
        1 => 0,
        rest => 11 - rest,
    };
    format!("ME{serial}{digit}BR")
}
