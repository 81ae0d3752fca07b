//! The product of matrices, in which nearly all of the time goes: tiles of a few rows and columns whose sums stay in the
//! processor's registers, over weights that were packed once so that they are read from front to back.

use pulp::{Arch, Simd, WithSimd};

use crate::pointwise::gelu;

/// The right-hand side of a product, packed: panels of as many columns as a tile has, each row after row. The last panel
/// is filled up with zeros.
#[derive(Default)]
pub struct Panels {
    /// How many rows it has: as many as the left-hand side has columns.
    inner: usize,
    columns: usize,
    numbers: Vec<f32>,
}

/// Where the number of a row and a column lies in what is packed.
#[derive(Clone, Copy)]
pub struct Strides {
    pub row: usize,
    pub column: usize,
}

impl Panels {
    pub fn pack(&mut self, arch: Arch, source: &[f32], strides: Strides, inner: usize, columns: usize) {
        let width = arch.dispatch(Width);
        (self.inner, self.columns) = (inner, columns);
        self.numbers.clear();
        self.numbers.resize(columns.div_ceil(width) * width * inner, 0.0);
        if inner == 0 {
            return;
        }
        for (index, panel) in self.numbers.chunks_exact_mut(width * inner).enumerate() {
            let first = index * width;
            let wide = width.min(columns - first);
            for (row, packed) in panel.chunks_exact_mut(width).enumerate() {
                let start = row * strides.row + first * strides.column;
                if strides.column == 1 {
                    packed[..wide].copy_from_slice(&source[start..start + wide]);
                } else {
                    let from = source[start..].iter().step_by(strides.column);
                    packed[..wide].iter_mut().zip(from).for_each(|(packed, number)| *packed = *number);
                }
            }
        }
    }

    pub fn columns(&self) -> usize {
        self.columns
    }
}

/// What a product starts from and what is done to it, while it is in registers anyway.
#[derive(Clone, Copy)]
pub enum Around<'a> {
    Nothing,
    /// The bias is added.
    Bias(&'a [f32]),
    /// The bias and what stands in the output already are added.
    BiasAndOutput(&'a [f32]),
    /// The bias is added, and the activation is taken.
    BiasThenGelu(&'a [f32]),
}

/// `out = left · right`, row by row; rows begin `stride` numbers apart.
pub struct Product<'a> {
    pub rows: usize,
    pub left: &'a [f32],
    pub left_stride: usize,
    pub right: &'a Panels,
    pub around: Around<'a>,
    pub out: &'a mut [f32],
    pub out_stride: usize,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // As many sums as leave registers for a row of the panel and one number of the left-hand side.
        if S::REGISTER_COUNT >= 32 { self.run::<S, 8, 3>(simd) } else { self.run::<S, 6, 2>(simd) }
    }
}

struct Width;

impl WithSimd for Width {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES * if S::REGISTER_COUNT >= 32 { 3 } else { 2 }
    }
}

impl Product<'_> {
    #[inline(always)]
    fn run<S: Simd, const ROWS: usize, const WIDE: usize>(mut self, simd: S) {
        let width = WIDE * S::F32_LANES;
        let inner = self.right.inner;
        if inner == 0 {
            return;
        }
        for (index, panel) in self.right.numbers.chunks_exact(width * inner).enumerate() {
            let panel = pulp::as_arrays::<WIDE, S::f32s>(S::as_simd_f32s(panel).0).0;
            let mut row = 0;
            while row + ROWS <= self.rows {
                self.tile::<S, ROWS, WIDE>(simd, row, index * width, panel);
                row += ROWS;
            }
            match self.rows - row {
                1 => self.tile::<S, 1, WIDE>(simd, row, index * width, panel),
                2 => self.tile::<S, 2, WIDE>(simd, row, index * width, panel),
                3 => self.tile::<S, 3, WIDE>(simd, row, index * width, panel),
                4 => self.tile::<S, 4, WIDE>(simd, row, index * width, panel),
                5 => self.tile::<S, 5, WIDE>(simd, row, index * width, panel),
                6 => self.tile::<S, 6, WIDE>(simd, row, index * width, panel),
                7 => self.tile::<S, 7, WIDE>(simd, row, index * width, panel),
                _ => {}
            }
        }
    }

    /// `ROWS` rows from `row` on and one panel's columns from `column` on.
    #[inline(always)]
    fn tile<S: Simd, const ROWS: usize, const WIDE: usize>(
        &mut self,
        simd: S,
        row: usize,
        column: usize,
        panel: &[[S::f32s; WIDE]],
    ) {
        let inner = panel.len();
        let left: [&[f32]; ROWS] = std::array::from_fn(|i| &self.left[(row + i) * self.left_stride..][..inner]);
        let mut sums = [[simd.splat_f32s(0.0); WIDE]; ROWS];
        for (step, right) in panel.iter().enumerate() {
            let numbers: [f32; ROWS] = std::array::from_fn(|i| left[i][step]);
            for i in 0..ROWS {
                let number = simd.splat_f32s(numbers[i]);
                for j in 0..WIDE {
                    sums[i][j] = simd.mul_add_e_f32s(number, right[j], sums[i][j]);
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            let out = &mut self.out[(row + i) * self.out_stride..][column..self.right.columns];
            let (whole, rest) = S::as_mut_simd_f32s(out);
            for (j, sums) in sums.iter().enumerate() {
                let here = column + j * S::F32_LANES;
                if let Some(out) = whole.get_mut(j) {
                    *out = finish(simd, self.around, *sums, *out, here);
                } else if j == whole.len() {
                    let done = finish(simd, self.around, *sums, simd.partial_load_f32s(rest), here);
                    simd.partial_store_f32s(rest, done);
                }
            }
        }
    }
}

/// The sums with what goes around them; `out` is what stands in the output, from `column` on.
#[inline(always)]
fn finish<S: Simd>(simd: S, around: Around<'_>, sums: S::f32s, out: S::f32s, column: usize) -> S::f32s {
    let biased = |bias: &[f32]| {
        let bias = &bias[column..];
        let bias = match S::as_simd_f32s(bias).0.first() {
            Some(whole) => *whole,
            None => simd.partial_load_f32s(bias),
        };
        simd.add_f32s(sums, bias)
    };
    match around {
        Around::Nothing => sums,
        Around::Bias(bias) => biased(bias),
        Around::BiasAndOutput(bias) => simd.add_f32s(biased(bias), out),
        Around::BiasThenGelu(bias) => gelu(simd, biased(bias)),
    }
}
