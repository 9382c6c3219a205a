//! A table as its records bring it: which shapes its rows have had, and its open batch.

use crate::batch::{Layout, RowMap, TableBatch};
use crate::change::{Copied, Lsn, Straddling, TableName, Version};
use crate::decode::debezium::RecordShape;
use crate::error::{Error, Kind, Result};
use crate::flow::{AdoptedRecords, StoredRecords};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A shape of a table's rows, and where its fields go.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) shape: Arc<RecordShape>,
    pub(super) map: Arc<RowMap>,
}

/// What is done with a table's records.
#[derive(Debug)]
pub(super) enum Standing {
    /// Not looked up yet.
    New,
    Stored,
    Ignored,
    Parked,
}

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: TableName,
    pub(super) standing: Standing,
    pub(super) relation: u32,
    pub(super) layout: Option<Arc<Layout>>,
    /// All shapes since the layout changed last; rows of a snapshot have other fields than those of the stream.
    pub(super) shapes: Vec<Shape>,
    /// The shape of the last row.
    pub(super) current: usize,
    /// How often the shapes were forgotten.
    pub(super) generation: u64,
    /// The shape of each schema's text, of the records that carry one.
    pub(super) by_schema: HashMap<Box<[u8]>, usize>,
    pub(super) batch: Option<TableBatch>,
    /// Rows older than this are dead.
    pub(super) truncated: Version,
    /// Changes that are stored by a copy.
    pub(super) copied: Option<Arc<Copied>>,
    /// Told of each change while another copy is being made.
    pub(super) straddling: Option<Arc<Straddling>>,
    /// Where the connector's newest snapshot began, once a record of one came, and its rows' version: rows of earlier ones are dead.
    pub(super) snapshot: Option<(Lsn, Version)>,
    /// The last version and ordinal, for the next batch.
    counted: Option<(Version, u64)>,
}

impl Table {
    fn new(name: TableName) -> Self {
        Self {
            name,
            standing: Standing::New,
            relation: 0,
            layout: None,
            shapes: Vec::new(),
            current: 0,
            generation: 0,
            by_schema: HashMap::new(),
            batch: None,
            truncated: Version::SNAPSHOT,
            copied: None,
            straddling: None,
            snapshot: None,
            counted: None,
        }
    }

    /// The batch that is open, or a new one.
    pub(super) fn open(&mut self) -> Result<&mut TableBatch> {
        if self.batch.is_none() {
            let layout = self.layout.as_ref().ok_or_else(|| unstorable(&self.name))?;
            let batch = TableBatch::new(Arc::clone(layout)).ok_or_else(|| unstorable(&self.name))?;
            self.batch = Some(batch.counting_from(self.counted));
        }
        self.batch.as_mut().ok_or_else(|| unstorable(&self.name))
    }

    /// Takes in what is to be done with the table's records; the index of the shape that was adopted. A batch of another layout is closed.
    pub(super) fn adopt(&mut self, adopted: AdoptedRecords) -> (Option<usize>, Option<TableBatch>) {
        match adopted {
            AdoptedRecords::Stored(StoredRecords { layout, map, shape, truncated, copied, straddling }) => {
                self.truncated = self.truncated.max(truncated);
                (self.copied, self.straddling) = (copied, straddling);
                let same = self.layout.as_ref().is_some_and(|known| **known == *layout);
                let closed = if same { None } else { self.close() };
                if !same {
                    self.shapes.clear();
                    self.by_schema.clear();
                    self.generation += 1;
                    self.relation = layout.relation;
                    self.layout = Some(layout);
                }
                self.standing = Standing::Stored;
                let known = self.shapes.iter().position(|known| *known.shape == *shape && *known.map == *map);
                self.current = known.unwrap_or(self.shapes.len());
                if known.is_none() {
                    self.shapes.push(Shape { shape, map });
                }
                (Some(self.current), closed)
            }
            AdoptedRecords::Ignored => {
                self.standing = Standing::Ignored;
                (None, None)
            }
            AdoptedRecords::Parked(relation) | AdoptedRecords::Park(relation, _) => {
                self.relation = relation;
                self.standing = Standing::Parked;
                self.batch = None;
                (None, None)
            }
        }
    }

    /// The open batch, which ends here.
    pub(super) fn close(&mut self) -> Option<TableBatch> {
        let batch = self.batch.take()?;
        self.counted = batch.last();
        Some(batch)
    }
}

fn unstorable(name: &TableName) -> Error {
    Error::new(Kind::Value, format!("could not store {name}: a column's type has no conversion"))
}

/// All tables that records have told of.
#[derive(Debug, Default)]
pub(super) struct TableSet {
    pub(super) list: Vec<Table>,
    names: BTreeMap<String, BTreeMap<String, usize>>,
}

impl TableSet {
    /// The index of a table; `last` is the one that the record before was of, which it mostly is again.
    #[inline]
    pub(super) fn index(&mut self, last: Option<usize>, schema: &str, name: &str) -> usize {
        if let Some(index) = last
            && self.list.get(index).is_some_and(|table| table.name.name == name && table.name.schema == schema)
        {
            return index;
        }
        if let Some(&index) = self.names.get(schema).and_then(|tables| tables.get(name)) {
            return index;
        }
        self.list.push(Table::new(TableName::new(schema, name)));
        let index = self.list.len() - 1;
        self.names.entry(schema.to_owned()).or_default().insert(name.to_owned(), index);
        index
    }

    pub(super) fn of_relation(&mut self, relation: u32) -> Option<&mut Table> {
        self.list.iter_mut().find(|table| table.relation == relation && !matches!(table.standing, Standing::New))
    }
}
