//! The sums over the items of an invoice.

use vitrine_kit::Money;
use vitrine_kit::nfe::{IbsCbsAmounts, Item, Totals};

/// `None`: they do not fit, which the order's own sums would not have either.
pub fn totals(items: &[Item]) -> Option<Totals> {
    let sum = |f: fn(&Item) -> Money| Money::sum(items.iter().map(f));
    let (products, discount, freight) = (sum(|i| i.gross)?, sum(|i| i.discount)?, sum(|i| i.freight)?);
    let own = |item: &Item| item.taxes.icms.own.map_or((Money::ZERO, Money::ZERO), |own| (own.base, own.value));
    Some(Totals {
        products,
        discount,
        freight,
        invoice: products.checked_sub(discount)?.checked_add(freight)?,
        icms_base: Money::sum(items.iter().map(|i| own(i).0))?,
        icms: Money::sum(items.iter().map(|i| own(i).1))?,
        icms_destination: sum(|i| i.taxes.icms.difal.map_or(Money::ZERO, |d| d.value))?,
        fcp_destination: sum(|i| i.taxes.icms.difal.map_or(Money::ZERO, |d| d.fcp_value))?,
        fcp: sum(|i| i.taxes.icms.own.and_then(|own| own.fcp).map_or(Money::ZERO, |fcp| fcp.value))?,
        pis: sum(|i| i.taxes.pis.own.map_or(Money::ZERO, |own| own.value))?,
        cofins: sum(|i| i.taxes.cofins.own.map_or(Money::ZERO, |own| own.value))?,
        ibs_cbs_base: sum(|i| reform(i).map_or(Money::ZERO, |new| new.base))?,
        ibs_state: sum(|i| reform(i).map_or(Money::ZERO, |new| new.ibs_state.value))?,
        ibs_city: sum(|i| reform(i).map_or(Money::ZERO, |new| new.ibs_city.value))?,
        cbs: sum(|i| reform(i).map_or(Money::ZERO, |new| new.cbs.value))?,
        approximate_taxes: sum(|i| i.approximate_taxes.as_ref().map_or(Money::ZERO, |taxes| taxes.value))?,
    })
}

fn reform(item: &Item) -> Option<IbsCbsAmounts> {
    item.taxes.ibs_cbs.as_ref().and_then(|tax| tax.amounts)
}
