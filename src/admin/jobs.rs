//! The job queue, and the routes that start dead jobs again.

use actix_web::{HttpResponse, get, post, web};
use garde::Validate;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::audit_log::{self, Action};
use crate::db::{self, sql};
use crate::error::database::broken_constraint;
use crate::error::{Error, Problem, Result};
use crate::http::json::{Json, Path, Query};
use crate::http::list::{self, Place, list_page};
use crate::http::page::List;
use crate::http::who::Admin;
use crate::ids::JobId;
use crate::jobs::JobKind;

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListJobs {
    /// Only jobs in this state.
    #[garde(skip)]
    state: Option<JobState>,
    /// Only jobs of this kind.
    #[garde(skip)]
    kind: Option<JobKind>,
    /// The beginning of a kind (a space stands for `_`), or a part of what a dead job failed with; at least three characters. Case and
    /// accents do not matter.
    #[garde(inner(length(chars, max = 120)))]
    #[param(max_length = 120)]
    q: Option<String>,
    /// How many to show: 1 to 100; left out, 20.
    #[garde(skip)]
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
    /// How many to skip, at most 100,000: use the cursor beyond.
    #[garde(skip)]
    #[param(minimum = 0, maximum = 100000)]
    offset: Option<i64>,
    /// `next_cursor` of the page before.
    #[garde(inner(length(chars, max = 200)))]
    #[param(max_length = 200)]
    cursor: Option<String>,
}

/// How far a job is: `waiting`, `running`, `done`, or `dead` (it failed as often as it may, and waits for an administrator).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum JobState {
    Waiting,
    Running,
    Done,
    Dead,
}

impl JobState {
    /// The word of the table.
    fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Dead => "dead",
        }
    }
}

/// Work that follows a commit.
#[derive(Debug, Serialize, ToSchema)]
struct JobView {
    /// The job.
    id: JobId,
    /// What it does. While another release runs beside this one, its own kinds may stand here too.
    #[schema(value_type = JobKind)]
    kind: String,
    /// The ids that it is about.
    #[schema(value_type = BTreeMap<String, serde_json::Value>)]
    payload: serde_json::Value,
    /// How far it is.
    #[schema(value_type = JobState)]
    state: String,
    /// When it is run next, or was run last.
    run_at: Timestamp,
    /// How often it was tried.
    #[schema(example = 1, minimum = 0)]
    attempts: i32,
    /// How often it is tried before it is dead.
    #[schema(example = 12, minimum = 0)]
    max_attempts: i32,
    /// Why the last try failed; null: none did.
    #[schema(example = "The provider is away", required = true)]
    last_error: Option<String>,
    /// What queued it: `request:…`, `job:…`, `webhook:…`.
    #[schema(example = "request:0c8d1f5e-7d0b-4f0e-9a58-0b6a3a0f6f3d")]
    cause: String,
    /// When it was queued.
    created_at: Timestamp,
    /// When it was done or dead; null: not yet.
    #[schema(required = true)]
    finished_at: Option<Timestamp>,
}

fn view(row: &Row) -> JobView {
    JobView {
        id: row.get("id"),
        kind: row.get("kind"),
        payload: row.get("payload"),
        state: row.get("state"),
        run_at: row.get("run_at"),
        attempts: row.get("attempts"),
        max_attempts: row.get("max_attempts"),
        last_error: row.get("last_error"),
        cause: row.get("cause"),
        created_at: row.get("created_at"),
        finished_at: row.get("finished_at"),
    }
}

/// Lists jobs
///
/// Work that follows a commit, the newest first.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(ListJobs),
    responses(
        (status = 200, body = List<JobView>, description = "The jobs of this page"),
        (status = 422, body = Problem, description = "`invalid`: a filter or the page is not possible")))]
#[get("/api/admin/jobs")]
pub(super) async fn list_jobs(app: web::Data<App>, _admin: Admin, Query(ask): Query<ListJobs>) -> Result<HttpResponse> {
    const LIST: &str = "
        SELECT id, kind, payload, state, run_at, attempts, max_attempts, last_error, cause, created_at, finished_at FROM jobs
         WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR kind = $2) AND ($3::uuid IS NULL OR id < $3)
         ORDER BY id DESC LIMIT $4 OFFSET $5";
    const COUNT: &str = "
        SELECT count(*) FROM (
            SELECT FROM jobs WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR kind = $2) LIMIT $3) counted";
    const FOUND: &str = "
        WITH found AS MATERIALIZED (
            SELECT id FROM jobs WHERE kind ~>=~ replace(plain($3), ' ', '_') AND kind ~<~ (replace(plain($3), ' ', '_') || $4)
            UNION SELECT id FROM jobs WHERE state = 'dead' AND plain(last_error) LIKE plain($5))";
    const FITS: &str = "
        id = ANY(ARRAY(SELECT found.id FROM found)) AND ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR kind = $2)";
    const LIST_FOUND: &str = sql!(
        FOUND,
        " SELECT id, kind, payload, state, run_at, attempts, max_attempts, last_error, cause, created_at, finished_at FROM jobs WHERE ",
        FITS,
        " AND ($6::uuid IS NULL OR id < $6) ORDER BY id DESC LIMIT $7 OFFSET $8"
    );
    const COUNT_FOUND: &str = sql!(FOUND, " SELECT count(*) FROM (SELECT FROM jobs WHERE ", FITS, " LIMIT $6) counted");
    let place: Place<JobId> = Place::of(ask.limit, ask.offset, ask.cursor.as_deref())?;
    let (db, read) = (app.db().await?, |row: &Row| (row.get("id"), view(row)));
    let (state, kind) = (&ask.state.map(JobState::as_str), &ask.kind.map(<&str>::from));
    let page = match list::part(ask.q.as_deref())? {
        Some(q) => {
            let filters: [&(dyn ToSql + Sync); 5] = [state, kind, &q, &list::last_letter(), &list::holding(q)];
            list_page(&db, (LIST_FOUND, COUNT_FOUND), &filters, &place, read).await?
        }
        None => list_page(&db, (LIST, COUNT), &[state, kind], &place, read).await?,
    };
    Ok(HttpResponse::Ok().json(page))
}

/// Starts a dead job again
///
/// With all its attempts.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])),
    params(("id" = JobId, Path, description = "The job")),
    responses(
        (status = 200, body = JobView, description = "The job as it is now"),
        (status = 404, body = Problem, description = "`not-found`: there is no such job"),
        (status = 409, body = Problem, description = "`conflict`: it is not dead, or the same job is queued already")))]
#[post("/api/admin/jobs/{id}/retry")]
pub(super) async fn retry_job(app: web::Data<App>, admin: Admin, id: Path<JobId>) -> Result<HttpResponse> {
    const RETRY: &str = "
        UPDATE jobs SET state = 'waiting', run_at = now(), attempts = 0, finished_at = NULL WHERE id = $1 AND state = 'dead'
        RETURNING id, kind, payload, state, run_at, attempts, max_attempts, last_error, cause, created_at, finished_at";
    const STATE: &str = "SELECT state FROM jobs WHERE id = $1";
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let row = match db::query_opt(&tx, RETRY, &[&id.0]).await {
        // The same job is queued already.
        Err(Error::Database(error)) if broken_constraint(&error) == Some("jobs_dedupe") => {
            return Err(Error::Conflict("The same job is already waiting or running".into()));
        }
        other => other?,
    };
    let Some(row) = row else {
        let state = db::query_opt(&tx, STATE, &[&id.0]).await?.ok_or(Error::NotFound("The job"))?;
        return Err(Error::Conflict(format!("The job is {}, not dead", state.get::<_, String>(0))));
    };
    let job = view(&row);
    let before = json!({"state": "dead", "last_error": job.last_error});
    let after = Some(json!({"state": "waiting"}));
    audit_log::record(&tx, admin.0.actor(), Action::JobRetry, &id.0.to_string(), Some(before), after).await?;
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(HttpResponse::Ok().json(job))
}

/// Which dead jobs.
#[derive(Debug, Default, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"kind": "send_refund"}))]
pub(super) struct RetryJobs {
    /// Only these; left out: all.
    #[garde(skip)]
    kind: Option<JobKind>,
}

/// How many were started again.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RetriedJobs {
    /// How many.
    #[schema(example = 3, minimum = 0)]
    retried: i64,
}

/// Starts dead jobs again
///
/// The oldest first, a thousand at a time: for when their cause (a wrong key, a blocked account) has been mended. A job that is
/// queued again already stays dead.
#[utoipa::path(
    tag = "admin", security(("bearer" = [])), request_body = RetryJobs,
    responses(
        (status = 200, body = RetriedJobs, description = "How many were started again"),
        (status = 409, body = Problem, description = "`conflict`: one of them was queued at this moment: ask again")))]
#[post("/api/admin/jobs/retry")]
pub(super) async fn retry_jobs(app: web::Data<App>, admin: Admin, body: Json<RetryJobs>) -> Result<HttpResponse> {
    const RETRY: &str = "
        WITH dead AS (
            SELECT DISTINCT ON (coalesce(d.dedupe, d.id::text)) d.id
              FROM (SELECT id, dedupe, finished_at FROM jobs WHERE state = 'dead' AND ($1::text IS NULL OR kind = $1)
                     ORDER BY finished_at LIMIT 1000 FOR UPDATE SKIP LOCKED) d
             WHERE NOT EXISTS (SELECT FROM jobs t WHERE t.dedupe = d.dedupe AND t.state IN ('waiting', 'running'))
             ORDER BY coalesce(d.dedupe, d.id::text), d.finished_at DESC)
        UPDATE jobs j SET state = 'waiting', run_at = now(), attempts = 0, finished_at = NULL FROM dead WHERE j.id = dead.id";
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let retried = match db::execute(&tx, RETRY, &[&body.kind.map(<&str>::from)]).await {
        Err(Error::Database(error)) if broken_constraint(&error) == Some("jobs_dedupe") => {
            return Err(Error::Conflict("One of these jobs was queued at this moment: ask again".into()));
        }
        other => other? as i64,
    };
    let after = Some(json!({"kind": body.kind, "retried": retried}));
    audit_log::record(&tx, admin.0.actor(), Action::JobRetryAll, "jobs", None, after).await?;
    tx.commit().await?;
    app.jobs_were_pushed();
    Ok(HttpResponse::Ok().json(RetriedJobs { retried }))
}
