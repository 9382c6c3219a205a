//! Wishes for copies, and what became of them: by `pipectl resync` into the state, and by the running sync beside them.
//!
//! Two processes write at the same time, so each name has one writer: what is asked for has another kind than what is answered.

use super::{CopyAnswer, CopyRequest, StateStore, parse, render};
use crate::error::Result;
use std::collections::BTreeMap;

const READ: &str = include_str!("../../sql/clickhouse/read_state_of_copies.sql");

/// What was asked for and answered, by the table's id at the source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyState {
    /// The newest wish for each table.
    pub requests: BTreeMap<u32, CopyRequest>,
    /// The newest answer for each table.
    pub answers: BTreeMap<u32, CopyAnswer>,
}

impl CopyState {
    /// The wishes that are neither fulfilled nor refused.
    pub fn open(&self) -> impl Iterator<Item = (u32, &CopyRequest)> {
        self.requests.iter().map(|(relation, request)| (*relation, request)).filter(|(relation, request)| {
            let answer = self.answers.get(relation).filter(|answer| answer.id == request.id);
            answer.is_none_or(|answer| !answer.phase.is_final())
        })
    }
}

impl StateStore {
    /// Reads what was asked for.
    ///
    /// # Errors
    /// What ClickHouse answers; as for [`StateStore::load`].
    pub async fn load_copies(&self) -> Result<CopyState> {
        let rows = self
            .server
            .rows(READ, &self.place())
            .await
            .map_err(|error| error.during("could not read which copies were asked for"))?;
        let mut state = CopyState::default();
        for row in &rows {
            let text = |name: &str| row.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
            let Ok(relation) = text("name").parse::<u32>() else { continue };
            match text("kind") {
                "resync" => drop(state.requests.insert(relation, parse("resync", text("newest"))?)),
                kind => drop(state.answers.insert(relation, parse(kind, text("newest"))?)),
            }
        }
        Ok(state)
    }

    /// Asks for a copy.
    ///
    /// # Errors
    /// What ClickHouse answers.
    pub async fn ask_for_copy(&mut self, relation: u32, request: &CopyRequest) -> Result<()> {
        self.write("resync", &relation.to_string(), render(request)?).await
    }

    /// Answers a wish for a copy.
    ///
    /// # Errors
    /// What ClickHouse answers.
    pub async fn answer_copy(&mut self, relation: u32, answer: &CopyAnswer) -> Result<()> {
        self.write("resynced", &relation.to_string(), render(answer)?).await
    }
}
