//! Rows in pieces of a few sizes, so that the prepared statements are few.

/// Rows in one INSERT. A few fixed sizes keep the prepared statements few; the largest stays below
/// SQLite's [32766 variables](https://www.sqlite.org/limits.html#max_variable_number).
const CHUNKS: [usize; 6] = [1000, 256, 64, 16, 4, 1];

/// Cuts rows into pieces of [`CHUNKS`], largest first.
pub(super) fn chunks<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = CHUNKS.into_iter().find(|&size| size <= rows.len())?;
        let (chunk, rest) = rows.split_at(size);
        rows = rest;
        Some(chunk)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_into_pieces_of_few_sizes_without_losing_any() {
        for count in [0, 1, 3, 5, 255, 256, 1000, 1023, 9999] {
            let rows: Vec<usize> = (0..count).collect();
            let pieces: Vec<&[usize]> = chunks(&rows).collect();
            assert_eq!(pieces.concat(), rows);
            assert!(pieces.iter().all(|piece| CHUNKS.contains(&piece.len())));
        }
    }
}
