#include "step.h"

#include <algorithm>

#include "../core/status.h"
#include "dense/dense.h"

namespace polyadic {

void Step::backward(const Context&) { throw Error(ErrorCode::unsupported, "plan: a step without a backward pass"); }

const char* op_name(Op op) {
  switch (op) {
    case Op::convolution:
      return "convolution";
    case Op::cp_block:
      return "cp_block";
    case Op::activation:
      return "activation";
    case Op::maxout:
      return "maxout";
    case Op::max_pool:
      return "max_pool";
    case Op::average_pool:
      return "average_pool";
    case Op::global_average_pool:
      return "global_average_pool";
    case Op::add:
      return "add";
    case Op::multiply:
      return "multiply";
    case Op::affine:
      return "affine";
    case Op::softmax:
      return "softmax";
    case Op::log_softmax:
      return "log_softmax";
    case Op::flatten:
      return "flatten";
    case Op::concat:
      return "concat";
    case Op::lrn:
      return "lrn";
    case Op::conv_transpose:
      return "conv_transpose";
    case Op::resample:
      return "resample";
    case Op::channels:
      return "channels";
    case Op::convert:
      return "convert";
    case Op::to_dense:
      return "to_dense";
    case Op::to_blocked:
      return "to_blocked";
    case Op::elementwise:
      return "elementwise";
    case Op::copy:
      return "copy";
    case Op::take:
      return "take";
    case Op::interpolate:
      return "interpolate";
    case Op::reduce:
      return "reduce";
    case Op::along:
      return "along";
    case Op::normalise:
      return "normalise";
    case Op::gather:
      return "gather";
    case Op::scatter:
      return "scatter";
    case Op::top_k:
      return "top_k";
    case Op::pool:
      return "pool";
    case Op::matmul:
      return "matmul";
    case Op::recurrent:
      return "recurrent";
    case Op::batch_norm:
      return "batch_norm";
    case Op::dropout:
      return "dropout";
  }
  return "unknown";
}

bool takes_bf16(const StepSpec& step) {
  switch (step.op) {
    case Op::convolution:
    case Op::cp_block:
      return step.bf16;
    case Op::max_pool:
    case Op::average_pool:
    case Op::global_average_pool:
    case Op::flatten:
    case Op::concat:
    case Op::convert:
      return true;
    default:
      return false;
  }
}

namespace {

// Steps for which some value is kept in bfloat16; null for the others.
std::unique_ptr<Step> make_bf16_step(const StepSpec& spec, StepResources resources) {
  if (spec.op == Op::convert) return make_convert(spec, resources);
  const auto half = [&](int value) { return resources.values[static_cast<std::size_t>(value)].bf16; };
  const bool any = half(spec.output) || std::any_of(spec.inputs.begin(), spec.inputs.end(), half);
  if (!any && !spec.bf16) return nullptr;
  switch (spec.op) {
    case Op::convolution:
      return make_bf16_convolution(spec, resources);
    case Op::cp_block:
      return make_bf16_cp_block(spec, resources);
    case Op::max_pool:
    case Op::average_pool:
    case Op::global_average_pool:
      return make_bf16_pool(spec, resources);
    case Op::flatten:
      return make_bf16_flatten(spec, resources);
    case Op::concat:
      return make_bf16_concat(spec, resources);
    default:
      throw Error(ErrorCode::argument, std::string(op_name(spec.op)) + ": has no bf16 kernel");
  }
}

}  // namespace

std::unique_ptr<Step> make_step(const StepSpec& spec, StepResources resources) {
  if (std::unique_ptr<Step> step = make_bf16_step(spec, resources)) return step;
  switch (spec.op) {
    case Op::convolution:
      return make_convolution(spec, resources);
    case Op::cp_block:
      return make_cp_block(spec, resources);
    case Op::activation:
      return make_activation(spec, resources);
    case Op::maxout:
      return make_maxout(spec, resources);
    case Op::max_pool:
    case Op::average_pool:
      return make_pool(spec, resources);
    case Op::global_average_pool:
      return make_global_average_pool(spec, resources);
    case Op::add:
    case Op::multiply:
      return make_binary(spec, resources);
    case Op::affine:
      return make_affine(spec, resources);
    case Op::softmax:
    case Op::log_softmax:
      return make_softmax(spec, resources);
    case Op::flatten:
      return make_flatten(spec, resources);
    case Op::concat:
      return make_concat(spec, resources);
    case Op::lrn:
      return make_lrn(spec, resources);
    case Op::conv_transpose:
      return make_conv_transpose(spec, resources);
    case Op::resample:
      return make_resample(spec, resources);
    case Op::channels:
      return make_channels(spec, resources);
    case Op::to_dense:
    case Op::to_blocked:
      return make_conversion(spec, resources);
    case Op::elementwise:
      return make_elementwise(spec, resources);
    case Op::copy:
      return make_copy(spec, resources);
    case Op::take:
      return make_take(spec, resources);
    case Op::interpolate:
      return make_interpolate(spec, resources);
    case Op::reduce:
      return make_reduce(spec, resources);
    case Op::along:
      return make_along(spec, resources);
    case Op::normalise:
      return make_normalise(spec, resources);
    case Op::gather:
      return make_gather(spec, resources);
    case Op::scatter:
      return make_scatter(spec, resources);
    case Op::top_k:
      return make_top_k(spec, resources);
    case Op::pool:
      return make_dense_pool(spec, resources);
    case Op::matmul:
      return make_matmul(spec, resources);
    case Op::recurrent:
      return make_recurrent(spec, resources);
    case Op::batch_norm:
      return make_batch_norm(spec, resources);
    case Op::dropout:
      return make_dropout(spec, resources);
    case Op::convert:
      break;  // made above
  }
  throw Error(ErrorCode::native, "step: unknown operator");
}

}  // namespace polyadic
