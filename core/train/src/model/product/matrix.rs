//! Matrices in the processor's memory, and one product on one thread.

use burn_flex::{Flex, FlexTensor};
use burn_tensor::{DType, Tensor};

/// A matrix of f32 values that can be read in place, whatever its strides.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A row-major matrix whose rows begin `stride` values apart.
    ///
    /// # Panics
    /// If `values` is too short, which is a fault of the caller.
    pub(crate) fn new(values: &'a [f32], [rows, columns]: [usize; 2], stride: usize) -> Self {
        Self::strided(values, [rows, columns], [stride, 1])
    }

    fn strided(
        values: &'a [f32],
        [rows, columns]: [usize; 2],
        [row_stride, column_stride]: [usize; 2],
    ) -> Self {
        let extent = extent([rows, columns], [row_stride, column_stride]);
        assert!(extent <= values.len(), "a matrix beyond its values");
        Self { values, rows, columns, row_stride, column_stride }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// A row of a row-major matrix.
    pub(crate) fn row(&self, row: usize) -> &'a [f32] {
        &self.values[row * self.row_stride..][..self.columns]
    }

    /// The same values with rows and columns exchanged.
    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// `count` rows from `first` on.
    pub(crate) fn rows_from(self, first: usize, count: usize) -> Self {
        let start = (first * self.row_stride).min(self.values.len());
        let strides = [self.row_stride, self.column_stride];
        Self::strided(&self.values[start..], [count, self.columns], strides)
    }

    /// `count` columns from `first` on.
    pub(crate) fn columns_from(self, first: usize, count: usize) -> Self {
        self.transposed().rows_from(first, count).transposed()
    }
}

/// Values from the first of a matrix to its last, both included.
fn extent([rows, columns]: [usize; 2], [row_stride, column_stride]: [usize; 2]) -> usize {
    match rows * columns {
        0 => 0,
        _ => (rows - 1) * row_stride + (columns - 1) * column_stride + 1,
    }
}

/// A tensor of the processor with two dimensions, read in place.
pub(super) struct HostMatrix {
    inner: FlexTensor,
    dims: [usize; 2],
    strides: [usize; 2],
}

impl HostMatrix {
    /// `None` for other devices, types and numbers of dimensions.
    pub(super) fn borrow<const D: usize>(tensor: &Tensor<D>) -> Option<Self> {
        let [rows, columns] = tensor.dims()[..] else { return None };
        let inner = tensor.clone().try_into_primitive::<Flex>().ok()?;
        let strides = inner.layout().strides();
        let [row, column] = strides[..] else { return None };
        let strides = [usize::try_from(row).ok()?, usize::try_from(column).ok()?];
        (inner.dtype() == DType::F32).then_some(Self { inner, dims: [rows, columns], strides })
    }

    pub(super) fn matrix(&self) -> Matrix<'_> {
        let start = self.inner.layout().start_offset();
        Matrix::strided(&self.inner.storage::<f32>()[start..], self.dims, self.strides)
    }
}

/// What becomes of the values that are already in the output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// They are overwritten, and not read.
    Replaced,
    /// The product is added to them.
    Kept,
}

/// `out = factor a b`, or `out += factor a b`, on the calling thread. `out` is row-major, its rows
/// begin `stride` values apart; it has the rows of `a` and the columns of `b`.
///
/// # Panics
/// If `out` is too short or the inner dimensions differ, which is a fault of the caller.
pub(crate) fn multiply(
    out: &mut [f32],
    stride: usize,
    [a, b]: [Matrix<'_>; 2],
    factor: f32,
    existing: Existing,
) {
    let size = extent([a.rows, b.columns], [stride, 1]);
    assert!(size <= out.len() && b.columns <= stride, "a product beyond its output");
    let place = Place { first: out.as_mut_ptr(), stride };
    // SAFETY: `out` is exclusively borrowed and, as just checked, holds the whole product.
    #[expect(unsafe_code, reason = "see the safety argument")]
    unsafe {
        multiply_at(place, [a, b], factor, existing);
    }
}

/// Where a product is written: its first value, and the distance of its rows.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) first: *mut f32,
    pub(super) stride: usize,
}

/// As [`multiply`], with the output by its address.
///
/// # Safety
/// Every value of the product must lie in memory that may be written and that nothing else reads or
/// writes meanwhile. It need not be initialised if existing values are replaced.
#[expect(unsafe_code, reason = "the product of the gemm crate takes addresses")]
pub(super) unsafe fn multiply_at(
    out: Place,
    [a, b]: [Matrix<'_>; 2],
    factor: f32,
    existing: Existing,
) {
    assert_eq!(a.columns, b.rows, "the inner dimensions of a product");
    let (dst, stride) = (out.first, out.stride as isize);
    let (a_row, a_column) = (a.row_stride as isize, a.column_stride as isize);
    let (b_row, b_column) = (b.row_stride as isize, b.column_stride as isize);
    let keep = existing == Existing::Kept;
    // SAFETY: the extents of `a` and `b` were checked when they were made, that of the output by
    // the caller. Without `keep`, gemm does not read the output.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            dst,
            1,
            stride,
            keep,
            a.values.as_ptr(),
            a_column,
            a_row,
            b.values.as_ptr(),
            b_column,
            b_row,
            1.0,
            factor,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
