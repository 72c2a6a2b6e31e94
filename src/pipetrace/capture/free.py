"""The functions of PyTorch that multiply no matrices, by their plain names."""

# Views, data movement, element-wise functions, reductions, pooling, normalisations, losses.
_NAMES = """
_pack_padded_sequence _pad_packed_sequence _safe_softmax abs absolute acos acosh adaptive_avg_pool1d
adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool1d_with_indices
adaptive_max_pool2d adaptive_max_pool2d_with_indices adaptive_max_pool3d
adaptive_max_pool3d_with_indices add addcdiv addcmul addr adjoint alias all allclose alpha_dropout
amax amin aminmax and angle any arange arccos arccosh arcsin arcsinh arctan arctan2 arctanh argmax
argmin argsort argwhere as_strided as_strided_scatter as_tensor asin asinh atan atan2 atanh
atleast_1d atleast_2d atleast_3d avg_pool1d avg_pool2d avg_pool3d batch_norm bernoulli bfloat16
binary_cross_entropy binary_cross_entropy_with_logits bincount bitwise_and bitwise_left_shift
bitwise_not bitwise_or bitwise_right_shift bitwise_xor block_diag bool broadcast_tensors
broadcast_to bucketize byte cartesian_prod cat cauchy cdouble ceil celu cfloat chalf channel_shuffle
char chunk clamp clamp_max clamp_min clip clone coalesce column_stack combinations complex concat
concatenate conj conj_physical constant constant_pad_nd contiguous copy copysign cos cosh
cosine_embedding_loss cosine_similarity count_nonzero cpu cross cross_entropy cross_entropy_loss
ctc_loss cuda cummax cummin cumprod cumsum cumulative_trapezoid data deg2rad detach diag diag_embed
diagflat diagonal diagonal_scatter diff digamma dist div divide double dropout dropout1d dropout2d
dropout3d dsplit dstack elu embedding embedding_bag empty empty_like empty_strided eq equal erf erfc
erfinv exp exp2 expand expand_as expm1 exponential eye fake_quantize_per_channel_affine
fake_quantize_per_tensor_affine feature_alpha_dropout feature_dropout fft_fftshift fft_ifftshift
fill fill_diagonal fix flatten flip fliplr flipud float float_power floor floor_divide fmax fmin
fmod fold frac fractional_max_pool2d fractional_max_pool2d_with_indices fractional_max_pool3d
fractional_max_pool3d_with_indices frexp frobenius_norm from_numpy full full_like gather
gaussian_nll_loss gcd ge gelu geometric ger getitem glu gradient greater greater_equal grid_sample
grid_sampler grid_sampler_2d grid_sampler_3d group_norm gt gumbel_softmax H half hardshrink
hardsigmoid hardswish hardtanh heaviside hinge_embedding_loss histc histogram hsplit hstack
huber_loss hypot i0 iand idiv ifloordiv igamma igammac ilshift imag imod index index_add index_fill
index_put index_reduce index_select indices instance_norm int interpolate invert ior irshift isclose
isfinite isin isinf isnan isneginf isposinf isreal item ixor kaiming_uniform kl_div kron kthvalue
l1_loss layer_norm lcm ldexp le leaky_relu lerp less less_equal lgamma linalg_cross linalg_diagonal
linalg_vander linalg_vector_norm linspace local_response_norm log log10 log1p log2 log_normal
log_sigmoid log_softmax logaddexp logaddexp2 logcumsumexp logical_and logical_not logical_or
logical_xor logit logsigmoid logspace logsumexp long lp_pool1d lp_pool2d lp_pool3d lshift lt
margin_ranking_loss masked_fill masked_scatter masked_select max max_pool1d max_pool1d_with_indices
max_pool2d max_pool2d_with_indices max_pool3d max_pool3d_with_indices max_unpool1d max_unpool2d
max_unpool3d maximum mean median meshgrid mH min minimum mish mode moveaxis movedim mse_loss msort
mT mul multi_margin_loss multilabel_margin_loss multilabel_soft_margin_loss multinomial multiply
mvlgamma nan_to_num nanmean nanmedian nanquantile nansum narrow native_batch_norm
native_channel_shuffle native_dropout native_group_norm native_layer_norm ne neg negative new_empty
new_empty_strided new_full new_ones new_tensor new_zeros nextafter nll_loss nll_loss_nd nonzero
nonzero_static norm norm_except_dim normal normalize not_equal numpy one_hot ones ones_like or outer
pad pad_sequence pairwise_distance permute pin_memory pixel_shuffle pixel_unshuffle poisson
poisson_nll_loss polar polygamma positive pow prelu prod put quantile rad2deg rand rand_like randint
randint_like randn randn_like random randperm ravel rdiv real reciprocal relu relu6 remainder renorm
repeat repeat_interleave requires_grad reshape reshape_as resize resize_as resolve_conj resolve_neg
reversed rfloordiv rlshift rmod rms_norm roll ror rot90 round row_stack rpow rrelu rrshift rshift
rsqrt rsub rxor scalar_tensor scatter scatter_add scatter_reduce searchsorted segment_reduce select
select_scatter selu set setitem sgn short sigmoid sign signbit silu sin sinc sinh slice
slice_inverse slice_scatter smooth_l1_loss soft_margin_loss softmax softmin softplus softshrink
softsign sort split split_with_sizes sqrt square squeeze stack std std_mean sub subtract sum
sum_to_size swapaxes swapdims T t take take_along_dim tan tanh tanhshrink tensor tensor_split
threshold tile to to_dense to_sparse tolist topk trace transpose trapezoid trapz tril tril_indices
triplet_margin_loss triu triu_indices true_divide trunc type type_as unbind unflatten unfold uniform
unique unique_consecutive unravel_index unsafe_chunk unsafe_split unsafe_split_with_sizes unsqueeze
values var var_mean view view_as view_as_complex view_as_real vsplit vstack where xlogy xor xpu zero
zeros zeros_like
"""
FREE = frozenset(_NAMES.split())
"""Without the underscore that a name ends with where the function works in place."""
