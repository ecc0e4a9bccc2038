//! Decompression in pieces, with a bound on what comes out.

use std::io::{self, Write};

use flate2::write::GzDecoder;
use zstd::stream::{
    raw::{self, InBuffer, OutBuffer, WriteBuf},
    zio,
};

use super::media::Encoding;

/// Largest window of zstd, as a power of two: 8 MiB, what
/// [RFC 9659](https://www.rfc-editor.org/rfc/rfc9659) allows a `Content-Encoding` to need.
const MAX_WINDOW_LOG: u32 = 23;
/// Most gzip members or zstd frames in one body. Each costs work, even if it is empty.
const MAX_PARTS: usize = 10_000;
/// Most bytes that one byte of gzip becomes, as
/// [zlib's author](https://www.zlib.net/zlib_tech.html) has it.
const GZIP_RATIO: usize = 1032;
/// Most bytes that one byte of zstd becomes: a block of 4 bytes can mean 128 KiB.
const ZSTD_RATIO: usize = 32 * 1024;

/// Where the bytes of a body go.
pub(super) trait Sink {
    /// Takes the next piece.
    fn take(&mut self, piece: &[u8]) -> io::Result<()>;

    /// How many bytes were only kept so far, and may take their work with the next piece.
    fn kept(&self) -> usize {
        0
    }
}

impl Sink for Vec<u8> {
    fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        self.extend_from_slice(piece);
        Ok(())
    }
}

/// Takes a body as it was sent and hands it on as it was meant, in pieces.
///
/// Holds what its algorithm needs and no more: 64 KiB for gzip, a window of at most 8 MiB for zstd.
pub(super) enum Decoder<S: Sink> {
    Identity(Bounded<S>),
    Gzip(Members<S>),
    Zstd(Box<zio::Writer<Bounded<S>, Frames>>),
}

impl<S: Sink> Decoder<S> {
    /// Hands on at most `limit` bytes.
    pub(super) fn new(encoding: Encoding, limit: usize, sink: S) -> io::Result<Self> {
        let bounded = Bounded { left: limit, sink };
        Ok(match encoding {
            Encoding::Identity => Self::Identity(bounded),
            Encoding::Gzip => Self::Gzip(Members::new(bounded)),
            Encoding::Zstd => Self::Zstd(Box::new(zio::Writer::new(bounded, Frames::new()?))),
        })
    }

    /// How many bytes there may be to work on when a piece of this length is pushed.
    pub(super) fn work(&self, len: usize) -> usize {
        let (bounded, ratio) = match self {
            Self::Identity(bounded) => (bounded, 1),
            Self::Gzip(gzip) => (gzip.current.get_ref(), GZIP_RATIO),
            Self::Zstd(zstd) => (zstd.writer(), ZSTD_RATIO),
        };
        let out = len.saturating_mul(ratio).min(bounded.left);
        out.max(len).saturating_add(bounded.sink.kept())
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// [`io::ErrorKind::FileTooLarge`] over the limit; what the sink says; any other: the piece is not of the
    /// encoding.
    pub(super) fn push(mut self, piece: &[u8]) -> io::Result<Self> {
        match &mut self {
            Self::Identity(bounded) => bounded.write_all(piece)?,
            Self::Gzip(_) => {}
            Self::Zstd(zstd) => zstd.write_all(piece)?,
        }
        match self {
            Self::Gzip(gzip) => gzip.push(piece).map(Self::Gzip),
            other => Ok(other),
        }
    }

    /// Hands on what is left, and gives the sink back.
    ///
    /// # Errors
    /// As [`push`](Self::push), and if the body ends before its encoding does.
    pub(super) fn finish(self) -> io::Result<S> {
        let bounded = match self {
            Self::Identity(bounded) => bounded,
            Self::Gzip(gzip) => gzip.current.finish()?,
            Self::Zstd(mut zstd) => {
                zstd.finish()?;
                zstd.into_inner().0
            }
        };
        Ok(bounded.sink)
    }
}

/// Gzip members, one after the other.
pub(super) struct Members<S: Sink> {
    current: Box<GzDecoder<Bounded<S>>>,
    /// How many are over.
    over: usize,
}

impl<S: Sink> Members<S> {
    fn new(bounded: Bounded<S>) -> Self {
        Self {
            current: Box::new(GzDecoder::new(bounded)),
            over: 0,
        }
    }

    fn push(mut self, mut piece: &[u8]) -> io::Result<Self> {
        while !piece.is_empty() {
            match self.current.write(piece)? {
                // This member is over.
                0 => {
                    count(&mut self.over)?;
                    self.current = Box::new(GzDecoder::new(self.current.finish()?));
                }
                taken => piece = &piece[taken..],
            }
        }
        Ok(self)
    }
}

/// Zstd frames, one after the other.
pub(super) struct Frames {
    zstd: raw::Decoder<'static>,
    /// How many are over.
    over: usize,
}

impl Frames {
    fn new() -> io::Result<Self> {
        let mut zstd = raw::Decoder::new()?;
        zstd.set_parameter(raw::DParameter::WindowLogMax(MAX_WINDOW_LOG))?;
        Ok(Self { zstd, over: 0 })
    }
}

impl raw::Operation for Frames {
    fn run<C: WriteBuf + ?Sized>(
        &mut self,
        input: &mut InBuffer<'_>,
        output: &mut OutBuffer<'_, C>,
    ) -> io::Result<usize> {
        self.zstd.run(input, output)
    }

    fn flush<C: WriteBuf + ?Sized>(&mut self, output: &mut OutBuffer<'_, C>) -> io::Result<usize> {
        self.zstd.flush(output)
    }

    fn reinit(&mut self) -> io::Result<()> {
        count(&mut self.over)?;
        self.zstd.reinit()
    }

    fn finish<C: WriteBuf + ?Sized>(
        &mut self,
        output: &mut OutBuffer<'_, C>,
        finished_frame: bool,
    ) -> io::Result<usize> {
        self.zstd.finish(output, finished_frame)
    }
}

/// Counts one more member or frame that is over.
fn count(over: &mut usize) -> io::Result<()> {
    *over += 1;
    if *over < MAX_PARTS {
        return Ok(());
    }
    let detail = format!("it has more than {MAX_PARTS} parts; compress it as one");
    Err(io::Error::new(io::ErrorKind::InvalidData, detail))
}

/// Hands on pieces until they would be too long together, or are not taken.
pub(super) struct Bounded<S> {
    left: usize,
    sink: S,
}

impl<S: Sink> Write for Bounded<S> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let left = self.left.checked_sub(piece.len());
        self.left = left.ok_or(io::ErrorKind::FileTooLarge)?;
        self.sink.take(piece)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

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
        let out = Out::default();
        let decoder = Decoder::new(encoding, LIMIT, out.clone()).unwrap();
        let mut pieces = pieces.into_iter();
        let pushed = pieces.try_fold(decoder, Decoder::push);
        let ended = pushed.and_then(Decoder::finish).map(drop);
        (out.0.take(), ended)
    }

    /// Keeps what comes out, also of what fails.
    #[derive(Clone, Default)]
    struct Out(Rc<RefCell<Vec<u8>>>);

    impl Sink for Out {
        fn take(&mut self, piece: &[u8]) -> io::Result<()> {
            self.0.borrow_mut().extend(piece);
            Ok(())
        }
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
            let (out, ended) = decoded(encoding, [&*bomb]);
            assert_eq!(
                ended.unwrap_err().kind(),
                io::ErrorKind::FileTooLarge,
                "{encoding:?}"
            );
            assert!(out.len() <= LIMIT, "{encoding:?}: {}", out.len());
        }
        let (zeros, ended) = decoded(Encoding::Zstd, [&*zstd_zeros(17, LIMIT)]);
        ended.expect("the limit itself is allowed, and the frame is a good one");
        assert_eq!(zeros.len(), LIMIT);
    }

    #[test]
    fn the_work_of_a_piece_is_known_before_it_is_pushed() {
        for (encoding, piece, least) in [
            (Encoding::Identity, vec![0; 500], 500),
            (Encoding::Gzip, gzip(&vec![0; LIMIT / 2]), LIMIT / 2),
            (Encoding::Zstd, zstd_zeros(17, LIMIT), LIMIT),
        ] {
            let decoder = Decoder::new(encoding, LIMIT, Vec::new()).unwrap();
            let work = decoder.work(piece.len());
            let out = decoder.push(&piece).unwrap().finish().unwrap().len();
            assert_eq!(out, least, "{encoding:?}");
            assert!((out..=LIMIT).contains(&work), "{encoding:?}: {work}");
        }
    }

    #[test]
    fn a_body_of_more_members_or_frames_than_events_is_refused_even_if_they_are_empty() {
        // A frame to skip, of no length.
        let skipped = [0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0];
        for (encoding, part) in [
            (Encoding::Gzip, gzip(b"")),
            (Encoding::Zstd, zstd(b"")),
            (Encoding::Zstd, skipped.to_vec()),
        ] {
            let (_, ended) = decoded(encoding, [&*part.repeat(MAX_PARTS)]);
            ended.expect("the limit itself is allowed");
            let (_, ended) = decoded(encoding, [&*part.repeat(MAX_PARTS + 1)]);
            let error = ended.unwrap_err().to_string();
            assert!(error.contains("10000 parts"), "{encoding:?}: {error}");
        }
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
