//! `docs/concurrent-operations.md`, read.

use std::collections::BTreeMap;

use super::operations::Operation;
use super::outcome::expected;
use super::stories::STORIES;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/concurrent-operations.md");

/// The tables of the document, each with its head first.
fn tables() -> Vec<Vec<Vec<String>>> {
    let text = std::fs::read_to_string(PATH).unwrap_or_else(|error| panic!("{PATH}: {error}"));
    let mut tables: Vec<Vec<Vec<String>>> = Vec::new();
    let mut within = false;
    for line in text.lines() {
        let row = line.strip_prefix('|').and_then(|line| line.strip_suffix('|'));
        if let Some(row) = row {
            if !within {
                tables.push(Vec::new());
            }
            let cells: Vec<String> = row.split('|').map(|cell| cell.trim().replace(['`', '*'], "")).collect();
            let is_rule = cells.iter().all(|cell| !cell.is_empty() && cell.chars().all(|c| "-:".contains(c)));
            if !is_rule {
                tables.last_mut().expect("just pushed").push(cells);
            }
        }
        within = row.is_some();
    }
    tables
}

/// The table whose head begins with this.
fn table(corner: &str) -> Vec<Vec<String>> {
    let found = tables().into_iter().find(|table| table[0][0] == corner);
    found.unwrap_or_else(|| panic!("{PATH} has no table that begins with \"{corner}\""))
}

/// What the document says of each pair, by row and column.
pub fn pairs() -> BTreeMap<(String, String), String> {
    let table = table("while apart");
    let (head, rows) = table.split_first().expect("a head");
    let mut pairs = BTreeMap::new();
    for row in rows {
        for (column, words) in head.iter().zip(row).skip(1).filter(|(_, words)| !words.is_empty()) {
            pairs.insert((row[0].clone(), column.clone()), words.clone());
        }
    }
    pairs
}

/// What the document says of each pair that needs more words: one side, the other side, the outcome.
pub fn stories() -> Vec<[String; 3]> {
    let rows = table("one side").into_iter().skip(1);
    rows.map(|row| <[String; 3]>::try_from(row).unwrap_or_else(|row| panic!("three columns: {row:?}")))
        .collect()
}

/// The table as it has to be.
pub fn table_of_pairs() -> String {
    let words = Operation::ALL.map(|operation| format!("`{}`", operation.word()));
    let mut lines = vec![format!("| while apart | {} |", words.join(" | "))];
    lines.push(format!("|---|{}", "---|".repeat(words.len())));
    for (place, one) in Operation::ALL.into_iter().enumerate() {
        let cell = |(column, other): (usize, Operation)| match column < place {
            true => String::new(),
            false => expected(one, other).words(),
        };
        let cells: Vec<String> = Operation::ALL.into_iter().enumerate().map(cell).collect();
        lines.push(format!("| `{}` | {} |", one.word(), cells.join(" | ")));
    }
    lines.join("\n")
}

/// The table of stories as it has to be.
pub fn table_of_stories() -> String {
    let mut lines =
        vec!["| one side | the other side | what becomes of it |".to_owned(), "|---|---|---|".to_owned()];
    for story in STORIES {
        lines.push(format!("| {} | {} | {} |", story.sides[0].0, story.sides[1].0, story.outcome));
    }
    lines.join("\n")
}
