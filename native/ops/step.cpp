#include "step.h"

#include "../core/status.h"

namespace polyadic {

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
    case Op::batch_norm:
      return "batch_norm";
    case Op::dropout:
      return "dropout";
  }
  return "unknown";
}

std::unique_ptr<Step> make_step(const StepSpec& spec, StepResources resources) {
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
    case Op::batch_norm:
      return make_batch_norm(spec, resources);
    case Op::dropout:
      return make_dropout(spec, resources);
  }
  throw Error(ErrorCode::native, "step: unknown operator");
}

}  // namespace polyadic
