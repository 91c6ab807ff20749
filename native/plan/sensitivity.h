// The sensitivity of a layer's CP decomposition as a penalty on its factors.
#pragma once

#include <cstdint>
#include <vector>

#include "../ops/step.h"

namespace polyadic {

// Σ_n I_n Σ_r Π_{m≠n} ‖a_m,r‖²: the expected squared change of the kernel for unit noise on its factors (Phan et al.,
// "Stable low-rank tensor decomposition for compression of convolutional neural network", 2020), times `weight`.
struct SensitivitySpec {
  struct Factor {
    int parameter = -1;
    std::vector<std::int32_t> component;  // of each element in ONNX order
    double extent = 1;                    // I_n
  };
  std::vector<Factor> factors;
  std::int32_t components = 0;
  float weight = 0;
};

class Sensitivity {
 public:
  // Throws Error(argument) when the factors do not fit the parameters.
  Sensitivity(SensitivitySpec spec, const std::vector<Parameter>& parameters);

  // The penalty; its gradient is added where the parameter is trainable.
  double add(std::vector<Parameter>& parameters, bool with_gradient) const;

 private:
  SensitivitySpec spec_;  // components in the order of the parameters' buffers, −1 where there is no weight
};

}  // namespace polyadic
