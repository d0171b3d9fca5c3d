//! What the operator is told of a dispute: what happened, until when something can be done, and what.

use deadpool_postgres::GenericClient;
use jiff::Timestamp;
use vitrine_kit::Money;

use super::store::{self as rows, Stuck};
use crate::alerts::{self, Alert, Key};
use crate::calendar;
use crate::error::Result;
use crate::sale::locks::LockedOrder;
use crate::sale::states::{DisputeStage, DisputeState, OrderStatus};

/// So many stuck disputes are told of in a run, each by itself.
const MOST_STUCK: i64 = 100;

/// A dispute that has just moved.
pub(super) struct Moved<'a> {
    pub order: &'a LockedOrder,
    pub provider: &'a str,
    pub reference: &'a str,
    pub stage: DisputeStage,
    pub state: DisputeState,
    /// It was not known, or was an inquiry until now.
    pub is_new_at_its_stage: bool,
    pub amount: Option<Money>,
    pub reason: &'a str,
    /// Their word for the state.
    pub word: &'a str,
    pub due_by: Option<Timestamp>,
}

/// Tells of the move, if somebody has to know it.
pub(super) async fn tell(tx: &impl GenericClient, moved: &Moved<'_>) -> Result<()> {
    let reference = moved.reference;
    let (key, text) = match (moved.state, moved.stage) {
        (DisputeState::Open | DisputeState::UnderReview, _) if !moved.is_new_at_its_stage => return Ok(()),
        (DisputeState::Open | DisputeState::UnderReview, DisputeStage::Inquiry) => {
            (Key::InquiryOpened { reference }, moved.asked_about())
        }
        (DisputeState::Open | DisputeState::UnderReview, DisputeStage::Contested) => {
            (Key::DisputeOpened { reference }, moved.contested())
        }
        (DisputeState::Unclear, _) => (Key::DisputeUnclear { reference }, moved.unclear()),
        (DisputeState::Lost, _) => (Key::DisputeClosed { reference, is_lost: true }, moved.lost()),
        (DisputeState::Won | DisputeState::Closed, _) => (Key::DisputeClosed { reference, is_lost: false }, moved.kept()),
    };
    alerts::raise(tx, Alert::new(key, text).about(moved.order.id)).await
}

/// Tells once a week of disputes that have not moved for so long that their provider may have lost them.
pub(super) async fn tell_of_stuck(tx: &impl GenericClient) -> Result<()> {
    for Stuck { provider, reference, order_id, order_number } in rows::list_stuck(tx, MOST_STUCK).await? {
        let text = format!(
            "A disputa {reference} do pedido {order_number} está aberta em {provider} há mais de 30 dias sem mudança, e até o fim dela nada do \
             pagamento pode ser devolvido. Confira no painel do provedor. Se ela já terminou lá, ou não aparece mais, encerre-a com \
             POST /api/admin/disputes/{{id}}/settle."
        );
        let key = Key::DisputeStaysOpen { reference: &reference };
        alerts::raise(tx, Alert::new(key, text).about(order_id)).await?;
    }
    Ok(())
}

impl Moved<'_> {
    fn what(&self) -> String {
        let amount =
            self.amount.map_or_else(|| "valor não informado".to_owned(), |amount| format!("{} centavos", amount.cents()));
        let reason = if self.reason.is_empty() { String::new() } else { format!(", motivo \"{}\"", self.reason) };
        format!("{amount}{reason}, disputa {} em {}", self.reference, self.provider)
    }

    fn until(&self) -> String {
        self.due_by.map_or_else(
            || "veja o prazo no painel do provedor".to_owned(),
            |at| format!("o prazo é {}", at.to_zoned(calendar::zone()).strftime("%d/%m/%Y %H:%M")),
        )
    }

    fn asked_about(&self) -> String {
        format!(
            "O banco do pagador pergunta pelo pagamento do pedido {} ({}). Nada foi tomado. Responda, ou devolva o valor, antes que \
             vire uma disputa: {}.",
            self.order.number,
            self.what(),
            self.until()
        )
    }

    fn contested(&self) -> String {
        format!(
            "O pagamento do pedido {} foi contestado ({}). Até o fim da disputa nada dele pode ser devolvido. Envie as provas: {}.",
            self.order.number,
            self.what(),
            self.until()
        )
    }

    fn unclear(&self) -> String {
        format!(
            "O provedor não diz onde está o dinheiro da disputa do pedido {} ({}; a situação dele é \"{}\"). A disputa continua aberta: \
             confira no painel dele e encerre-a com POST /api/admin/disputes/{{id}}/settle.",
            self.order.number,
            self.what(),
            self.word
        )
    }

    fn lost(&self) -> String {
        let then = match self.order.status {
            OrderStatus::Shipped | OrderStatus::Delivered => {
                "A mercadoria já saiu, e nenhuma nota de devolução foi feita: só a registre como devolvida se ela voltar."
            }
            OrderStatus::Processing => "Se todo o valor se foi, a nota e a etiqueta que ainda não saíram são desfeitas.",
            _ => "Não há mais nada a enviar por este pedido.",
        };
        format!("O banco do pagador tomou o dinheiro do pedido {} ({}). {then}", self.order.number, self.what())
    }

    fn kept(&self) -> String {
        let how = if self.state == DisputeState::Won { "foi ganha" } else { "terminou sem que nada fosse tomado" };
        format!("A disputa do pedido {} {how} ({}).", self.order.number, self.what())
    }
}
