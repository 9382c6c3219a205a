//! What each column of a table gets: by its type and name, unless a foreign key or a unique index asks for something else.

use super::catalog::{self, ColumnFacts, Filled, ForeignKey, TableFacts, UniqueSet};
use super::recipe::{self, Recipe, TimeForm};
use super::row::MARK_WIDTH;
use super::{LeftOut, meaning, moment};
use crate::decode::time::MICROS_PER_DAY;
use crate::error::{Error, Kind, Result};
use crate::seed::random::mix;
use crate::server::postgres::Connection;
use std::collections::HashSet;

/// Tuples of a parent that are kept at least, however few rows are asked for.
const PARENTS: u64 = 100_000;
/// Of a hundred values of a column that may be NULL, so many are; and of one that marks rare things.
const NULLS: u32 = 10;
const RARE_NULLS: u32 = 95;
/// Codes up to this width are all listed.
const LISTED_WIDTH: usize = 3;
/// 2024-01-01, where moments that count up begin in an empty table.
const FIRST_MOMENT: i64 = 1_704_067_200_000_000;

/// A column that gets values.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) place: usize,
    pub(super) recipe: Recipe,
    pub(super) nulls: u32,
}

/// Columns that draw one tuple together.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) places: Vec<usize>,
    pub(super) tuples: Vec<Vec<String>>,
    /// Which tuple each row takes; any where empty.
    pub(super) listed: Vec<u32>,
    pub(super) nulls: u32,
}

/// All that the rows need.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) columns: Vec<Planned>,
    pub(super) groups: Vec<Group>,
    pub(super) left_out: Vec<LeftOut>,
    pub(super) salt: u64,
}

/// Works out the plan of a table.
///
/// # Errors
/// [`Kind::Value`] where a column that needs a value cannot get one; it says which and why.
pub(super) async fn plan(connection: &Connection, facts: &TableFacts, rows: u64) -> Result<Plan> {
    let mut planner =
        Planner { connection, facts, rows, plan: Plan::default(), recipes: vec![None; facts.columns.len()] };
    planner.advance_sequences().await?;
    for key in &facts.foreign_keys {
        planner.refer(key).await?;
    }
    for (place, column) in facts.columns.iter().enumerate() {
        planner.by_type(place, column)?;
    }
    planner.plan.salt = mix(catalog::count(connection, &facts.name).await?);
    for set in &facts.unique {
        planner.differ(set).await?;
    }
    Ok(planner.finish())
}

struct Planner<'a> {
    connection: &'a Connection,
    facts: &'a TableFacts,
    rows: u64,
    plan: Plan,
    recipes: Vec<Option<Recipe>>,
}

impl Planner<'_> {
    fn finish(mut self) -> Plan {
        let in_unique: HashSet<usize> = self
            .facts
            .unique
            .iter()
            .flat_map(|set| &set.columns)
            .filter_map(|&number| self.facts.place(number))
            .collect();
        for (place, recipe) in self.recipes.into_iter().enumerate() {
            let (Some(recipe), Some(column)) = (recipe, self.facts.columns.get(place)) else { continue };
            let nulls = match &recipe {
                _ if column.not_null || in_unique.contains(&place) => 0,
                // The group decides for all its columns.
                Recipe::Group { .. } => 0,
                _ if meaning::is_rare(&column.name) => RARE_NULLS,
                _ => NULLS,
            };
            self.plan.columns.push(Planned { place, recipe, nulls });
        }
        for group in &mut self.plan.groups {
            let fixed = |place: &usize| {
                in_unique.contains(place) || self.facts.columns.get(*place).is_none_or(|column| column.not_null)
            };
            group.nulls = if group.places.iter().any(fixed) { 0 } else { NULLS };
        }
        self.plan
    }

    /// Moves a sequence on that fell behind its column: its values are left to Postgres.
    async fn advance_sequences(&self) -> Result<()> {
        for column in &self.facts.columns {
            let Filled::BySequence(Some(sequence)) = &column.filled else { continue };
            let greatest = catalog::greatest(self.connection, &self.facts.name, &column.name, false).await?;
            if let Some(greatest) = greatest.and_then(|text| text.parse::<i64>().ok()).filter(|&greatest| greatest > 0)
            {
                catalog::advance(self.connection, sequence, greatest).await?;
            }
        }
        Ok(())
    }

    fn column(&self, place: usize) -> Result<&ColumnFacts> {
        self.facts
            .columns
            .get(place)
            .ok_or_else(|| Error::new(Kind::Unexpected, "a column went away while it was planned"))
    }

    fn places(&self, numbers: &[i16]) -> Vec<usize> {
        numbers.iter().filter_map(|&number| self.facts.place(number)).collect()
    }

    /// Gives columns of a foreign key values that the parent has.
    async fn refer(&mut self, key: &ForeignKey) -> Result<()> {
        let places = self.places(&key.columns);
        let taken = |place: &usize| {
            self.facts.columns.get(*place).is_none_or(ColumnFacts::is_made_by_postgres)
                || self.recipes.get(*place).is_none_or(Option::is_some)
        };
        if places.iter().any(taken) {
            return Ok(());
        }
        let limit = self.rows.saturating_mul(2).max(PARENTS);
        let tuples = catalog::tuples(self.connection, &key.parent, &key.parent_columns, limit).await?;
        if !tuples.is_empty() {
            self.group(places, tuples);
            return Ok(());
        }
        let optional = places.iter().any(|&place| self.facts.columns.get(place).is_some_and(|column| !column.not_null));
        let itself = if key.to_itself { self.same_row(key) } else { None };
        if let Some(itself) = itself.filter(|_| !optional) {
            for (place, own) in places.into_iter().zip(itself) {
                self.set(place, Recipe::SameAs(own));
            }
            return Ok(());
        }
        self.no_parent(key, places, optional)
    }

    /// The columns that a key to the table itself refers to, where their values are made here.
    fn same_row(&self, key: &ForeignKey) -> Option<Vec<usize>> {
        let find = |name: &String| {
            let place = self.facts.columns.iter().position(|column| column.name == *name)?;
            self.facts.columns.get(place).filter(|column| !column.is_made_by_postgres()).map(|_| place)
        };
        key.parent_columns.iter().map(find).collect()
    }

    fn no_parent(&mut self, key: &ForeignKey, places: Vec<usize>, optional: bool) -> Result<()> {
        let why = format!("{} has no rows to refer to (foreign key \"{}\")", key.parent, key.name);
        for place in places {
            let column = self.column(place)?;
            if !optional && column.needs_value() {
                return Err(cannot_fake(self.facts, column, &why).hint(format!("fill {} first", key.parent)));
            }
            self.leave_out(place, &why)?;
        }
        Ok(())
    }

    /// Gives a column without a recipe the one of its type; leaves it out where there is none.
    fn by_type(&mut self, place: usize, column: &ColumnFacts) -> Result<()> {
        let settled = self.recipes.get(place).is_none_or(Option::is_some)
            || self.plan.left_out.iter().any(|left| left.column == column.name);
        if settled || column.is_made_by_postgres() {
            return Ok(());
        }
        match recipe::recipe(column, &self.facts.name.name) {
            Ok(recipe) => self.set(place, recipe),
            Err(why) if column.needs_value() => return Err(cannot_fake(self.facts, column, &why)),
            Err(why) => self.leave_out(place, &why)?,
        }
        Ok(())
    }

    /// Makes columns differ from row to row: one of them by itself if that is possible, else all of them by their combinations.
    async fn differ(&mut self, set: &UniqueSet) -> Result<()> {
        let places = self.places(&set.columns);
        // NULLs do not collide, and what Postgres makes itself is its own affair.
        if places.is_empty() || places.iter().any(|&place| self.recipes.get(place).is_none_or(Option::is_none)) {
            return Ok(());
        }
        for &place in &places {
            if let Some(Recipe::SameAs(_) | Recipe::Group { .. }) = self.recipe(place) {
                continue;
            }
            if let Some(recipe) = self.unique_recipe(place).await? {
                self.set(place, recipe);
                return Ok(());
            }
        }
        self.combine(set, &places).await
    }

    /// A recipe for a column whose values differ from each other and from those that are there.
    async fn unique_recipe(&mut self, place: usize) -> Result<Option<Recipe>> {
        let column = self.column(place)?.clone();
        if column.is_array || !column.labels.is_empty() {
            return Ok(None);
        }
        if let Some(Recipe::Count { .. } | Recipe::Ticks { .. } | Recipe::Codes { .. } | Recipe::Marked { .. }) =
            self.recipe(place)
        {
            return Ok(self.recipe(place).cloned());
        }
        let is_text = recipe::is_text(&column);
        let limit = recipe::text_limit(&column);
        if is_text && limit <= LISTED_WIDTH {
            return Ok(None);
        }
        let greatest = match self.recipe(place) {
            Some(Recipe::Uuid | Recipe::Json | Recipe::Bytes | Recipe::Host { .. }) => None,
            // A type that knows no greatest value has no recipe for unique ones either.
            _ => catalog::greatest(self.connection, &self.facts.name, &column.name, is_text).await.unwrap_or(None),
        };
        self.plan.salt = greatest
            .iter()
            .flat_map(|text| text.bytes())
            .fold(self.plan.salt, |salt, byte| mix(salt ^ u64::from(byte)));
        if is_text {
            let words = meaning::words(&column.name, &self.facts.name.name);
            return if limit >= MARK_WIDTH as usize {
                Ok(Some(Recipe::Marked { words, limit }))
            } else {
                self.codes(&column, greatest.as_deref(), limit as u32).map(Some)
            };
        }
        if let Some(most) = recipe::greatest_number(&column) {
            return self.numbers(&column, greatest.as_deref(), most).map(Some);
        }
        Ok(match self.recipe(place) {
            Some(recipe @ (Recipe::Uuid | Recipe::Json | Recipe::Bytes)) => Some(recipe.clone()),
            Some(Recipe::Host { .. }) => Some(Recipe::Host { unique: true }),
            Some(Recipe::Time {
                form: form @ (TimeForm::Date | TimeForm::Timestamp | TimeForm::TimestampTz), ..
            }) => {
                let form = *form;
                let first =
                    greatest.as_deref().and_then(moment::parse).map_or(FIRST_MOMENT, |last| last + MICROS_PER_DAY);
                Some(Recipe::Ticks { first, form })
            }
            _ => None,
        })
    }

    fn codes(&self, column: &ColumnFacts, greatest: Option<&str>, width: u32) -> Result<Recipe> {
        let first = greatest
            .filter(|text| text.len() == width as usize)
            .and_then(|text| u64::from_str_radix(text, 36).ok())
            .map_or(0, |last| last + 1);
        if first.saturating_add(self.rows) > 36_u64.pow(width) {
            let why = format!("it is unique, and {width} characters leave no room for {} more values", self.rows);
            return Err(cannot_fake(self.facts, column, &why));
        }
        Ok(Recipe::Codes { first, width })
    }

    fn numbers(&self, column: &ColumnFacts, greatest: Option<&str>, most: i128) -> Result<Recipe> {
        let whole =
            |text: &str| text.split('.').next().and_then(|whole| whole.replace(['$', ','], "").parse::<i128>().ok());
        let first = greatest.and_then(whole).map_or(1, |last| last + 1);
        if first + i128::from(self.rows) - 1 > most {
            let why = format!(
                "it is unique, and {} has no room for {} values above those that are there",
                column.declared, self.rows
            );
            return Err(cannot_fake(self.facts, column, &why));
        }
        Ok(Recipe::Count { first })
    }

    /// Lists combinations of what the columns can hold, without those that are there.
    async fn combine(&mut self, set: &UniqueSet, places: &[usize]) -> Result<()> {
        let mut groups: Vec<usize> = Vec::new();
        for &place in places {
            let group = match self.recipe(place).cloned() {
                Some(Recipe::Group { group, .. }) => group,
                // It follows another column of the row, which differs if it has to.
                Some(Recipe::SameAs(_)) => return Ok(()),
                Some(Recipe::OneOf(values)) => {
                    self.group(vec![place], values.into_iter().map(|value| vec![value]).collect())
                }
                Some(Recipe::Text { limit, .. }) => {
                    let codes = (0..36_u64.pow(limit as u32))
                        .map(|code| vec![super::row::base36(code, limit as u32)])
                        .collect();
                    self.group(vec![place], codes)
                }
                _ => {
                    let column = self.column(place)?;
                    let why = format!("it is unique, and no unique values are known for type {}", column.declared);
                    return if column.needs_value() {
                        Err(cannot_fake(self.facts, column, &why))
                    } else {
                        self.leave_out(place, &why)
                    };
                }
            };
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        self.list(set, &groups).await
    }

    async fn list(&mut self, set: &UniqueSet, groups: &[usize]) -> Result<()> {
        let group = |index: usize| self.plan.groups.get(index);
        let sizes: Vec<u64> =
            groups.iter().filter_map(|&index| group(index)).map(|group| group.tuples.len() as u64).collect();
        let places: Vec<usize> =
            groups.iter().filter_map(|&index| group(index)).flat_map(|group| group.places.clone()).collect();
        let names: Vec<String> = places
            .iter()
            .filter_map(|&place| self.facts.columns.get(place))
            .map(|column| column.name.clone())
            .collect();
        let taken = catalog::taken(self.connection, &self.facts.name, &names).await?;
        let total = sizes.iter().fold(1_u64, |total, &size| total.saturating_mul(size));
        let mut listed: Vec<Vec<u32>> = vec![Vec::new(); groups.len()];
        let mut found = 0;
        for combination in scattered(total, self.plan.salt) {
            if found == self.rows {
                break;
            }
            let choice = digits(combination, &sizes);
            let tuple: Vec<String> = groups
                .iter()
                .zip(&choice)
                .filter_map(|(&index, &at)| group(index)?.tuples.get(at as usize))
                .flatten()
                .cloned()
                .collect();
            if taken.contains(&tuple) {
                continue;
            }
            found += 1;
            listed.iter_mut().zip(choice).for_each(|(list, at)| list.push(at));
        }
        if found < self.rows {
            let message = format!(
                "could not make {} rows for {}: there are only {found} more that differ in {}",
                self.rows,
                self.facts.name,
                names.join(", ")
            );
            return Err(Error::new(Kind::Value, message).hint(format!(
                "the unique index {} asks for it; ask for fewer rows, or fill the tables it refers to first",
                set.name
            )));
        }
        for (&index, list) in groups.iter().zip(listed) {
            if let Some(group) = self.plan.groups.get_mut(index) {
                group.listed = list;
            }
        }
        Ok(())
    }

    fn group(&mut self, places: Vec<usize>, tuples: Vec<Vec<String>>) -> usize {
        let group = self.plan.groups.len();
        for (place, &column) in places.iter().enumerate() {
            self.set(column, Recipe::Group { group, place });
        }
        self.plan.groups.push(Group { places, tuples, listed: Vec::new(), nulls: 0 });
        group
    }

    fn recipe(&self, place: usize) -> Option<&Recipe> {
        self.recipes.get(place).and_then(Option::as_ref)
    }

    fn set(&mut self, place: usize, recipe: Recipe) {
        if let Some(slot) = self.recipes.get_mut(place) {
            *slot = Some(recipe);
        }
    }

    fn leave_out(&mut self, place: usize, why: &str) -> Result<()> {
        let column = self.column(place)?.clone();
        if let Some(slot) = self.recipes.get_mut(place) {
            *slot = None;
        }
        let instead = if column.filled == Filled::Not { "NULL" } else { "its default" };
        self.plan.left_out.push(LeftOut { column: column.name, why: why.to_owned(), instead });
        Ok(())
    }
}

fn cannot_fake(facts: &TableFacts, column: &ColumnFacts, why: &str) -> Error {
    Error::new(Kind::Value, format!("could not make up values for column \"{}\" of {}: {why}", column.name, facts.name))
}

/// The numbers below `total`, each once, in an order that jumps about.
fn scattered(total: u64, salt: u64) -> impl Iterator<Item = u64> {
    let common = |mut one: u64, mut other: u64| {
        while other != 0 {
            (one, other) = (other, one % other);
        }
        one
    };
    let size = total.max(1);
    let mut step = (salt % size).max(1);
    while common(step, size) != 1 {
        step += 1;
    }
    let start = mix(salt) % size;
    (0..total).map(move |index| ((u128::from(start) + u128::from(index) * u128::from(step)) % u128::from(size)) as u64)
}

fn digits(mut number: u64, sizes: &[u64]) -> Vec<u32> {
    sizes
        .iter()
        .map(|&size| {
            let digit = number % size.max(1);
            number /= size.max(1);
            digit as u32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scattered_visits_each_once() {
        for (total, salt) in [(1, 0), (2, 7), (36, 12), (1000, u64::MAX), (97, 97)] {
            let visited: HashSet<u64> = scattered(total, salt).collect();
            assert_eq!(visited.len() as u64, total);
        }
        assert_eq!(scattered(0, 5).count(), 0);
    }

    #[test]
    fn digits_count_through_all_combinations() {
        let all: HashSet<Vec<u32>> = (0..6).map(|number| digits(number, &[2, 3])).collect();
        assert_eq!(all.len(), 6);
    }
}
