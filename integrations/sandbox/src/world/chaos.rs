//! Random faults for the torture run: each call may meet a fault, each webhook may be lost, doubled or late.
//! What is drawn depends on the seed and on the order of arrival alone, and is counted by kind.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::world::fault::{Fault, Met};
use crate::world::orders::{Refused, SendWebhook};

/// Statuses of a provider in trouble. Those of a caller's mistake are never drawn: they would be lies.
const STATUSES: [u16; 5] = [429, 500, 502, 503, 504];
/// Those of them that leave open whether it was done. A 429 or 503 says that it was not.
const OPEN_STATUSES: [u16; 3] = [500, 502, 504];

/// How much goes wrong. Shares are per thousand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Chaos {
    pub seed: u64,
    /// So many calls meet a fault.
    pub per_mille: u32,
    /// So many webhooks are lost; then doubled; then late.
    pub webhook_lost_per_mille: u32,
    pub webhook_twice_per_mille: u32,
    pub webhook_late_per_mille: u32,
    /// The longest delay, and how long a hanging call is held before its connection closes.
    pub slow_max_ms: u64,
    pub webhook_late_max_ms: u64,
    /// Only these providers; empty: all.
    pub providers: Vec<String>,
    /// Only these kinds of fault (`Fault::name`); empty: all.
    pub kinds: Vec<String>,
}

impl Default for Chaos {
    fn default() -> Self {
        Self {
            seed: 0,
            per_mille: 0,
            webhook_lost_per_mille: 0,
            webhook_twice_per_mille: 0,
            webhook_late_per_mille: 0,
            slow_max_ms: 3_000,
            webhook_late_max_ms: 5_000,
            providers: Vec::new(),
            kinds: Vec::new(),
        }
    }
}

impl Chaos {
    fn check(&self, is_provider: impl Fn(&str) -> bool) -> Result<(), Refused> {
        let webhooks = [self.webhook_lost_per_mille, self.webhook_twice_per_mille, self.webhook_late_per_mille];
        if self.per_mille > 1_000 || webhooks.iter().map(|&share| u64::from(share)).sum::<u64>() > 1_000 {
            return Err(Refused::Invalid("no more than a thousand of a thousand can go wrong".into()));
        }
        if let Some(name) = self.providers.iter().find(|name| !is_provider(name)) {
            return Err(Refused::Invalid(format!("there is no provider {name:?}")));
        }
        if let Some(kind) = self.kinds.iter().find(|kind| !KINDS.contains(&kind.as_str())) {
            return Err(Refused::Invalid(format!("there is no fault {kind:?}")));
        }
        Ok(())
    }
}

const KINDS: [&str; 9] =
    ["status", "status_after", "delay", "hang", "hang_after", "garbage", "wrong_type", "drop_before", "drop_after"];

/// What chaos has done since it began. Stays readable when it is over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ChaosCounts {
    /// Calls that it looked at.
    pub calls: u64,
    /// Kind → number, and provider → number.
    pub faults: BTreeMap<&'static str, u64>,
    pub by_provider: BTreeMap<String, u64>,
    /// `once`, `twice`, `lost`, `late` → number.
    pub webhooks: BTreeMap<&'static str, u64>,
}

/// The dice, and how they fell.
#[derive(Debug, Default)]
pub(crate) struct Dice {
    thrown: Option<(Chaos, StdRng, StdRng)>,
    counts: ChaosCounts,
}

impl Dice {
    /// Begins anew: the counters too.
    pub(crate) fn begin(&mut self, chaos: Chaos, is_provider: impl Fn(&str) -> bool) -> Result<(), Refused> {
        chaos.check(is_provider)?;
        // One sequence each, so that a webhook more or less does not change what the calls meet.
        let (calls, webhooks) = (StdRng::seed_from_u64(chaos.seed), StdRng::seed_from_u64(!chaos.seed));
        *self = Self { thrown: Some((chaos, calls, webhooks)), counts: ChaosCounts::default() };
        Ok(())
    }

    pub(crate) fn end(&mut self) {
        self.thrown = None;
    }

    pub(crate) fn show(&self) -> (Option<Chaos>, ChaosCounts) {
        (self.thrown.as_ref().map(|(chaos, ..)| chaos.clone()), self.counts.clone())
    }

    /// What this call meets.
    pub(crate) fn fault(&mut self, provider: &str) -> Option<Met> {
        let (chaos, dice, _) = self.thrown.as_mut()?;
        if !chaos.providers.is_empty() && !chaos.providers.iter().any(|name| name == provider) {
            return None;
        }
        self.counts.calls += 1;
        if dice.random_range(0..1_000) >= chaos.per_mille {
            return None;
        }
        let kinds: Vec<&str> =
            KINDS.into_iter().filter(|kind| chaos.kinds.is_empty() || chaos.kinds.iter().any(|k| k == kind)).collect();
        let kind = *kinds.get(dice.random_range(0..kinds.len().max(1)))?;
        let code = STATUSES[dice.random_range(0..STATUSES.len())];
        let open = OPEN_STATUSES[dice.random_range(0..OPEN_STATUSES.len())];
        let slow = Duration::from_millis(dice.random_range(0..=chaos.slow_max_ms));
        let fault = match kind {
            "status" => Fault::Status(code),
            "status_after" => Fault::StatusAfterRequest(open),
            "delay" => Fault::Delay(slow),
            "hang" => Fault::Hang,
            "hang_after" => Fault::HangAfterRequest,
            "garbage" => Fault::Garbage,
            "wrong_type" => Fault::WrongType,
            "drop_before" => Fault::DropBeforeRequest,
            _ => Fault::DropAfterRequest,
        };
        *self.counts.faults.entry(fault.name()).or_default() += 1;
        *self.counts.by_provider.entry(provider.to_owned()).or_default() += 1;
        Some(Met { fault, hang: Duration::from_millis(chaos.slow_max_ms) })
    }

    /// How this webhook travels.
    pub(crate) fn webhook(&mut self) -> SendWebhook {
        let Some((chaos, _, dice)) = self.thrown.as_mut() else {
            return SendWebhook::Once;
        };
        let (throw, late) = (dice.random_range(0..1_000), dice.random_range(0..=chaos.webhook_late_max_ms));
        let lost = chaos.webhook_lost_per_mille;
        let twice = lost + chaos.webhook_twice_per_mille;
        let (name, how) = match throw {
            n if n < lost => ("lost", SendWebhook::Lost),
            n if n < twice => ("twice", SendWebhook::Twice),
            n if n < twice + chaos.webhook_late_per_mille => ("late", SendWebhook::Late(Duration::from_millis(late))),
            _ => ("once", SendWebhook::Once),
        };
        *self.counts.webhooks.entry(name).or_default() += 1;
        how
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_provider(name: &str) -> bool {
        matches!(name, "propay" | "resend")
    }

    fn throw(chaos: &Chaos, calls: usize) -> Vec<Option<Fault>> {
        let mut dice = Dice::default();
        dice.begin(chaos.clone(), is_provider).expect("fair");
        (0..calls).map(|_| dice.fault("propay").map(|met| met.fault)).collect()
    }

    #[test]
    fn the_same_seed_deals_the_same_faults_and_another_one_others() {
        let chaos = Chaos { seed: 7, per_mille: 500, ..Chaos::default() };
        assert_eq!(throw(&chaos, 200), throw(&chaos, 200));
        assert_ne!(throw(&chaos, 200), throw(&Chaos { seed: 8, ..chaos }, 200));
    }

    #[test]
    fn every_kind_comes_up_and_all_are_counted() {
        let mut dice = Dice::default();
        dice.begin(Chaos { seed: 1, per_mille: 1_000, ..Chaos::default() }, is_provider).expect("fair");
        for _ in 0..500 {
            let met = dice.fault("propay").expect("always");
            assert_eq!(met.hang, Duration::from_secs(3));
        }
        let (_, counts) = dice.show();
        let mut kinds = KINDS.to_vec();
        kinds.sort_unstable();
        assert_eq!(counts.faults.keys().copied().collect::<Vec<_>>(), kinds);
        assert_eq!((counts.calls, counts.faults.values().sum()), (500, 500));
    }

    #[test]
    fn webhooks_get_lost_doubled_and_late_in_their_shares() {
        let mut dice = Dice::default();
        assert_eq!(dice.webhook(), SendWebhook::Once);
        let chaos = Chaos {
            seed: 3,
            webhook_lost_per_mille: 200,
            webhook_twice_per_mille: 300,
            webhook_late_per_mille: 500,
            ..Chaos::default()
        };
        dice.begin(chaos, is_provider).expect("fair");
        for _ in 0..1_000 {
            dice.webhook();
        }
        let (_, counts) = dice.show();
        assert_eq!(counts.webhooks.keys().copied().collect::<Vec<_>>(), ["late", "lost", "twice"]);
        assert!((150..250).contains(&counts.webhooks["lost"]), "{counts:?}");
        assert!((250..350).contains(&counts.webhooks["twice"]), "{counts:?}");
    }

    #[test]
    fn it_keeps_to_the_providers_and_kinds_it_was_given() {
        let chaos = Chaos { per_mille: 1_000, providers: vec!["propay".into()], kinds: vec!["hang".into()], ..Chaos::default() };
        let mut dice = Dice::default();
        dice.begin(chaos.clone(), is_provider).expect("fair");
        assert_eq!(dice.fault("resend").map(|met| met.fault), None);
        assert_eq!(dice.fault("propay").map(|met| met.fault), Some(Fault::Hang));
        for wrong in [
            Chaos { providers: vec!["nobody".into()], ..chaos.clone() },
            Chaos { kinds: vec!["nonsense".into()], ..chaos.clone() },
            Chaos { per_mille: 1_001, ..chaos.clone() },
            Chaos { webhook_lost_per_mille: 600, webhook_twice_per_mille: 600, ..chaos },
        ] {
            assert!(dice.begin(wrong, is_provider).is_err());
        }
    }
}
