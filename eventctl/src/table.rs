//! Tables without borders.

use comfy_table::{ContentArrangement, Table, presets};

pub(crate) use comfy_table::CellAlignment::{Left, Right};

/// Spaces between two columns.
const GAP: u16 = 2;

/// Lays out rows in columns and returns the lines. Only the last column may have colours: the width of the others is that
/// of their characters, and colours are characters, too.
pub(crate) fn table<const COLUMNS: usize>(
    alignments: [comfy_table::CellAlignment; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> Vec<String> {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .add_rows(rows);
    for (column, alignment) in table.column_iter_mut().zip(alignments) {
        column.set_cell_alignment(alignment);
        column.set_padding((0, GAP));
    }
    table.trim_fmt().lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_aligned_to_the_right_and_lines_end_with_their_text() {
        let rows = [["topic", "1", "new"], ["é", "1,000", ""]];
        let rows = rows.map(|row| row.map(str::to_owned));
        assert_eq!(
            table([Left, Right, Left], rows),
            ["topic      1  new", "é      1,000"]
        );
    }
}
