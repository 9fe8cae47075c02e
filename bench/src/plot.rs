//! Lines on logarithmic scales, as SVG.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

/// A line, with a point for each size or part.
pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// What stands around the lines.
pub struct Frame {
    pub title: String,
    pub across: &'static str,
    pub up: &'static str,
    /// The words for a place across.
    pub words: fn(&f64) -> String,
}

/// The colours of Okabe and Ito, which are told apart by people who see some colours alike.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 0, 0),
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(140, 130, 20),
];

const SIZE: (u32, u32) = (960, 520);

/// Where the names begin, from the left.
const NAMES: i32 = 740;

/// Draws lines into a file.
pub fn draw(path: &Path, frame: &Frame, lines: &[Line]) -> Result<(), Box<dyn Error>> {
    let of = |axis: fn(&(f64, f64)) -> f64| {
        let all = lines.iter().flat_map(|line| &line.points).map(axis);
        all.fold((f64::MAX, f64::MIN), |(least, most), it| {
            (least.min(it), most.max(it))
        })
    };
    let ((left, right), (bottom, top)) = (of(|point| point.0), of(|point| point.1));
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let (plot, names) = area.split_horizontally(NAMES);
    for (at, line) in lines.iter().enumerate() {
        let y = 60 + 22 * at as i32;
        names.draw(&PathElement::new([(4, y), (24, y)], style(at)))?;
        names.draw(&Circle::new((14, y), radius(at), style(at)))?;
        let text = ("sans-serif", 14).into_font();
        names.draw(&Text::new(line.name.clone(), (32, y - 8), text))?;
    }
    let mut chart = ChartBuilder::on(&plot)
        .caption(&frame.title, ("sans-serif", 20))
        .margin(12)
        .margin_right(30)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(
            (left..right).log_scale(),
            (bottom * 0.8..top * 1.25).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc(frame.across)
        .y_desc(frame.up)
        .x_label_formatter(&frame.words)
        .light_line_style(BLACK.mix(0.04))
        .label_style(("sans-serif", 14))
        .draw()?;
    for (at, line) in lines.iter().enumerate() {
        let points = line.points.iter().copied();
        chart.draw_series(LineSeries::new(points, style(at)).point_size(radius(at)))?;
    }
    area.present()?;
    Ok(())
}

fn style(at: usize) -> ShapeStyle {
    COLOURS[at % COLOURS.len()].stroke_width(2)
}

/// A second time round the colours, lines have larger points.
fn radius(at: usize) -> u32 {
    3 + 2 * (at / COLOURS.len()) as u32
}
