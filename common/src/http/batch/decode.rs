//! Decompression in pieces, with a bound on what comes out.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use zstd::stream::{raw, zio};

use super::media::Encoding;

/// Largest window of zstd, as a power of two: 8 MiB, what
/// [RFC 9659](https://www.rfc-editor.org/rfc/rfc9659) allows a `Content-Encoding` to need.
const MAX_WINDOW_LOG: u32 = 23;

/// Takes a body as it was sent and hands it on as it was meant, in pieces.
///
/// Holds what its algorithm needs and no more: 64 KiB for gzip, a window of at most 8 MiB for zstd.
pub(super) enum Decoder<F: FnMut(&[u8]) -> io::Result<()>> {
    Identity(Bounded<F>),
    Gzip(Box<MultiGzDecoder<Bounded<F>>>),
    Zstd(Box<zio::Writer<Bounded<F>, raw::Decoder<'static>>>),
}

impl<F: FnMut(&[u8]) -> io::Result<()>> Decoder<F> {
    /// Hands on at most `limit` bytes.
    pub(super) fn new(encoding: Encoding, limit: usize, take: F) -> io::Result<Self> {
        let bounded = Bounded { left: limit, take };
        Ok(match encoding {
            Encoding::Identity => Self::Identity(bounded),
            Encoding::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(bounded))),
            Encoding::Zstd => {
                let mut zstd = raw::Decoder::new()?;
                zstd.set_parameter(raw::DParameter::WindowLogMax(MAX_WINDOW_LOG))?;
                Self::Zstd(Box::new(zio::Writer::new(bounded, zstd)))
            }
        })
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// [`io::ErrorKind::FileTooLarge`] over the limit; what `take` says; any other: the piece is not of the
    /// encoding.
    pub(super) fn push(&mut self, piece: &[u8]) -> io::Result<()> {
        match self {
            Self::Identity(bounded) => bounded.write_all(piece),
            Self::Gzip(gzip) => gzip.write_all(piece),
            Self::Zstd(zstd) => zstd.write_all(piece),
        }
    }

    /// Hands on what is left.
    ///
    /// # Errors
    /// As [`push`](Self::push), and if the body ends before its encoding does.
    pub(super) fn finish(self) -> io::Result<()> {
        match self {
            Self::Identity(_) => Ok(()),
            Self::Gzip(gzip) => gzip.finish().map(drop),
            Self::Zstd(mut zstd) => zstd.finish(),
        }
    }
}

/// Hands on pieces until they would be too long together, or are not taken.
pub(super) struct Bounded<F> {
    left: usize,
    take: F,
}

impl<F: FnMut(&[u8]) -> io::Result<()>> Write for Bounded<F> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let left = self.left.checked_sub(piece.len());
        self.left = left.ok_or(io::ErrorKind::FileTooLarge)?;
        (self.take)(piece)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};
    use proptest::{prelude::*, sample::Index};

    use super::*;

    const LIMIT: usize = 1 << 20;
    const GIBIBYTE: usize = 1 << 30;

    /// What comes out of a body that arrives in these pieces, and how it ends.
    fn decoded<'p>(
        encoding: Encoding,
        pieces: impl IntoIterator<Item = &'p [u8]>,
    ) -> (Vec<u8>, io::Result<()>) {
        let mut out = Vec::new();
        let mut decoder = Decoder::new(encoding, LIMIT, |piece: &[u8]| {
            out.extend(piece);
            Ok(())
        })
        .unwrap();
        let pushed = pieces.into_iter().try_for_each(|piece| decoder.push(piece));
        let ended = pushed.and_then(|()| decoder.finish());
        (out, ended)
    }

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(data: &[u8]) -> Vec<u8> {
        zstd::encode_all(data, 1).unwrap()
    }

    fn compressed(encoding: Encoding, data: &[u8]) -> Vec<u8> {
        match encoding {
            Encoding::Identity => data.to_vec(),
            Encoding::Gzip => gzip(data),
            Encoding::Zstd => zstd(data),
        }
    }

    /// A frame of zeros, made of blocks that say "this byte, so often".
    fn zstd_zeros(window_log: u8, len: usize) -> Vec<u8> {
        const BLOCK: usize = 128 * 1024;
        let window = (window_log - 10) << 3;
        let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0x00, window];
        for left in (0..len / BLOCK).rev() {
            let header = (BLOCK << 3) | (1 << 1) | usize::from(left == 0);
            frame.extend(&header.to_le_bytes()[..3]);
            frame.push(0);
        }
        frame
    }

    #[test]
    fn a_gibibyte_of_zeros_ends_at_the_limit() {
        let member = gzip(&vec![0; 1 << 19]);
        for (encoding, bomb) in [
            (Encoding::Gzip, member.repeat(GIBIBYTE >> 19)),
            (Encoding::Zstd, zstd_zeros(17, GIBIBYTE)),
        ] {
            let mut most = 0;
            let mut decoder = Decoder::new(encoding, LIMIT, |piece: &[u8]| {
                most += piece.len();
                Ok(())
            });
            let ended = decoder.as_mut().unwrap().push(&bomb);
            assert_eq!(
                ended.unwrap_err().kind(),
                io::ErrorKind::FileTooLarge,
                "{encoding:?}"
            );
            drop(decoder);
            assert!(most <= LIMIT, "{encoding:?}: {most}");
        }
        let (zeros, ended) = decoded(Encoding::Zstd, [&*zstd_zeros(17, LIMIT)]);
        ended.expect("the limit itself is allowed, and the frame is a good one");
        assert_eq!(zeros.len(), LIMIT);
    }

    #[test]
    fn a_window_over_the_limit_is_refused_before_it_is_made() {
        let within = zstd_zeros(23, LIMIT);
        assert!(decoded(Encoding::Zstd, [&*within]).1.is_ok());
        for window_log in [24, 31, 41] {
            let over = zstd_zeros(window_log, LIMIT);
            let (out, ended) = decoded(Encoding::Zstd, [&*over]);
            assert_ne!(ended.unwrap_err().kind(), io::ErrorKind::FileTooLarge);
            assert!(out.is_empty());
        }
    }

    #[test]
    fn a_body_that_ends_too_early_is_refused_wherever_it_does() {
        let data: Vec<u8> = (0..=255).cycle().take(3000).collect();
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            let body = compressed(encoding, &data);
            for end in 0..body.len() {
                let (_, ended) = decoded(encoding, [&body[..end]]);
                assert!(ended.is_err(), "{encoding:?}: {end} of {}", body.len());
            }
        }
    }

    #[test]
    fn garbage_is_refused_before_and_after_what_is_good() {
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            assert!(decoded(encoding, [&b"[{\"id\":\"a\"}]"[..]]).1.is_err());
            let mut body = compressed(encoding, b"good");
            body.extend(b"garbage garbage garbage");
            assert!(decoded(encoding, [&*body]).1.is_err(), "{encoding:?}");
        }
        let mut damaged = gzip(b"good");
        let checksum = damaged.len() - 5;
        damaged[checksum] ^= 1;
        assert!(decoded(Encoding::Gzip, [&*damaged]).1.is_err());
    }

    proptest! {
        #[test]
        fn members_follow_each_other_and_arrive_in_any_pieces(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..4),
            cuts in prop::collection::vec(any::<Index>(), 0..6),
        ) {
            for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Zstd] {
                let body: Vec<u8> =
                    parts.iter().flat_map(|part| compressed(encoding, part)).collect();
                let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
                cuts.sort_unstable();
                let ends = cuts.iter().copied().chain([body.len()]);
                let starts = [0].into_iter().chain(cuts.iter().copied());
                let pieces = starts.zip(ends).map(|(start, end)| &body[start..end]);
                let (out, ended) = decoded(encoding, pieces);
                prop_assert!(ended.is_ok(), "{:?}: {:?}", encoding, ended);
                prop_assert_eq!(out, parts.concat());
            }
        }
    }
}
