//! Geometric types of Postgres, and the geometries of PostGIS.
//!
//! Their objects say what they are: a point has coordinates, a line its coefficients, a circle a centre; the others are well-known binary, whose
//! `extensions` name Postgres' type. What has none is a geometry of PostGIS, whose text is that binary in hexadecimal.
//! Postgres' text: <https://www.postgresql.org/docs/current/datatype-geometric.html>.

use super::super::json::{Json, Object};
use super::binary::{UPPER_DIGITS, push_hex, unbase64};
use super::{Put, Work, float};
use crate::decode::Malformed;

const BAD: Malformed = Malformed("a geometry");

/// The members that tell the types apart.
#[derive(Default)]
struct Members<'a> {
    x: Option<f64>,
    y: Option<f64>,
    line: [Option<f64>; 3],
    radius: Option<f64>,
    center: Option<Object<'a>>,
    wkb: Option<&'a [u8]>,
    extensions: Option<Object<'a>>,
}

pub(super) fn read<'a>(object: Object<'_>, out: &mut Vec<u8>, work: &mut Work) -> Result<Put<'a>, Malformed> {
    let members = Members::read(object)?;
    match members {
        Members { x: Some(x), y: Some(y), .. } => push_point((x, y), out),
        Members { line: [Some(a), Some(b), Some(c)], .. } => push_list(b"{", &[a, b, c], b"}", out),
        Members { center: Some(center), radius: Some(radius), .. } => {
            let Members { x: Some(x), y: Some(y), .. } = Members::read(center)? else { return Err(BAD) };
            out.push(b'<');
            push_point((x, y), out);
            out.push(b',');
            float::push_double(radius, out);
            out.push(b'>');
        }
        Members { wkb: Some(wkb), extensions, .. } => {
            work.bytes.clear();
            unbase64(wkb, &mut work.bytes)?;
            let extension = |name: &[u8]| extensions.map_or(Ok(None), |extensions| extensions.get(name));
            match extension(b"type")? {
                Some(Json::String(kind)) => {
                    let closed = matches!(extension(b"closed")?, Some(Json::String(closed)) if closed.is(b"true"));
                    push_shape(kind.plain().ok_or(BAD)?, closed, &work.bytes, out)?;
                }
                _ => push_hex(&work.bytes, UPPER_DIGITS, out),
            }
        }
        _ => return Err(BAD),
    }
    Ok(Put::Text)
}

impl<'a> Members<'a> {
    fn read(object: Object<'a>) -> Result<Self, Malformed> {
        let mut found = Self::default();
        for member in object.members() {
            let (name, value) = member?;
            match (name.plain().unwrap_or_default(), value) {
                (_, Json::Null) => {}
                (b"x", value) => found.x = Some(float::double(value)?),
                (b"y", value) => found.y = Some(float::double(value)?),
                (b"a", value) => found.line[0] = Some(float::double(value)?),
                (b"b", value) => found.line[1] = Some(float::double(value)?),
                (b"c", value) => found.line[2] = Some(float::double(value)?),
                (b"radius", value) => found.radius = Some(float::double(value)?),
                (b"center", Json::Object(center)) => found.center = Some(center),
                (b"wkb", Json::String(wkb)) => found.wkb = Some(wkb.plain().ok_or(BAD)?),
                (b"extensions", Json::Object(extensions)) => found.extensions = Some(extensions),
                _ => {}
            }
        }
        Ok(found)
    }
}

fn push_list(open: &[u8], numbers: &[f64], close: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(open);
    for (place, number) in numbers.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        float::push_double(*number, out);
    }
    out.extend_from_slice(close);
}

fn push_point((x, y): (f64, f64), out: &mut Vec<u8>) {
    push_list(b"(", &[x, y], b")", out);
}

/// Appends a shape whose points lie in well-known binary.
fn push_shape(kind: &[u8], closed: bool, wkb: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
    let points = Points::of(wkb).ok_or(BAD)?;
    let (open, close): (&[u8], &[u8]) = match kind {
        b"box" => {
            // Its corners one after another, from the upper right one, which Postgres writes first, to itself.
            let corners = (points.clone().next(), points.clone().nth(2));
            let (Some(high), Some(low)) = corners else { return Err(BAD) };
            push_point(high, out);
            out.push(b',');
            push_point(low, out);
            return Ok(());
        }
        b"path" if closed => (b"(", b")"),
        b"polygon" => (b"(", b")"),
        b"lseg" | b"path" => (b"[", b"]"),
        _ => return Err(BAD),
    };
    // A polygon's ring returns to its first point, which Postgres writes once.
    let count = if kind == b"polygon" { points.left.saturating_sub(1) } else { points.left };
    out.extend_from_slice(open);
    for (place, point) in points.take(count).enumerate() {
        if place > 0 {
            out.push(b',');
        }
        push_point(point, out);
    }
    out.extend_from_slice(close);
    Ok(())
}

/// The points of a line or of a polygon's only ring. The format:
/// <https://www.ogc.org/standards/sfa/>, section "Well-known Binary Representation for Geometry".
#[derive(Clone)]
struct Points<'a> {
    rest: &'a [u8],
    left: usize,
    little: bool,
}

impl<'a> Points<'a> {
    fn of(wkb: &'a [u8]) -> Option<Self> {
        let ([order], rest) = wkb.split_first_chunk::<1>()?;
        let mut points = Self { rest, left: 0, little: *order == 1 };
        match points.number()? {
            2 => {}
            3 if points.number()? == 1 => {}
            _ => return None,
        }
        points.left = points.number()? as usize;
        (points.rest.len() == points.left.checked_mul(16)?).then_some(points)
    }

    fn number(&mut self) -> Option<u32> {
        let (bytes, rest) = self.rest.split_first_chunk::<4>()?;
        self.rest = rest;
        Some(if self.little { u32::from_le_bytes(*bytes) } else { u32::from_be_bytes(*bytes) })
    }

    fn coordinate(&mut self) -> Option<f64> {
        let (bytes, rest) = self.rest.split_first_chunk::<8>()?;
        self.rest = rest;
        Some(if self.little { f64::from_le_bytes(*bytes) } else { f64::from_be_bytes(*bytes) })
    }
}

impl Iterator for Points<'_> {
    type Item = (f64, f64);

    fn next(&mut self) -> Option<(f64, f64)> {
        Some((self.coordinate()?, self.coordinate()?))
    }
}
