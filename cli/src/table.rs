//! Tables on stdout: columns under a header line, no frames, so that `awk` and people both read them.

use comfy_table::{CellAlignment, presets};

/// A table being filled.
pub(crate) struct Table(comfy_table::Table);

impl Table {
    /// A table with these columns.
    pub(crate) fn new(columns: &[&str]) -> Table {
        let mut table = comfy_table::Table::new();
        table.load_preset(presets::NOTHING).set_header(columns.iter().map(|name| name.to_uppercase()));
        Table(table)
    }

    /// Columns without a header: a name and a value each line.
    pub(crate) fn facts() -> Table {
        let mut table = comfy_table::Table::new();
        table.load_preset(presets::NOTHING);
        Table(table)
    }

    /// Sets columns of numbers to the right edge.
    pub(crate) fn right(mut self, columns: &[usize]) -> Table {
        for column in columns {
            if let Some(column) = self.0.column_mut(*column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        self
    }

    /// Adds a line.
    pub(crate) fn row<I: IntoIterator<Item = String>>(&mut self, cells: I) {
        self.0.add_row(cells);
    }

    /// The lines, without blanks at their ends.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        for line in self.0.lines() {
            // The preset leaves one blank before the first column.
            text.push_str(line.strip_prefix(' ').unwrap_or(&line).trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_clean() {
        let mut table = Table::new(&["name", "partitions"]).right(&[1]);
        table.row(["orders".to_owned(), "3".to_owned()]);
        table.row(["a".to_owned(), "12".to_owned()]);
        assert_eq!(table.render(), "NAME    PARTITIONS\norders           3\na               12\n");
    }
}
