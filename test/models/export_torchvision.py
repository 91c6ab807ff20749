#!/usr/bin/env python3
"""Writes networks of torchvision as PyTorch exports them to ONNX, with random weights: python3 export_torchvision.py FOLDER [NAME ...]

Images, segmentation, video. Needs torch and torchvision (Debian: python3-torchvision). Batch normalisation gets statistics and scales of its own:
with those of a new network it would do nothing.
"""
import os
import sys
import warnings

import torch
from torch import nn
from torchvision import models

IMAGE, VIDEO, SCENE = (1, 3, 224, 224), (1, 3, 8, 64, 64), (1, 3, 96, 112)
NETWORKS = {
    **{name: (getattr(models, name), IMAGE) for name in (
        "densenet121", "efficientnet_b0", "efficientnet_v2_s", "mnasnet0_5", "regnet_x_400mf", "regnet_y_400mf",
        "shufflenet_v2_x0_5", "convnext_tiny", "mobilenet_v3_small", "resnext50_32x4d", "swin_t")},
    "googlenet": (lambda **options: models.googlenet(init_weights=False, **options), IMAGE),
    "inception_v3": (lambda **options: models.inception_v3(init_weights=False, **options), (1, 3, 299, 299)),
    **{name: (getattr(models.video, name), VIDEO) for name in ("r3d_18", "mc3_18", "r2plus1d_18")},
    **{name: (getattr(models.segmentation, name), SCENE) for name in ("lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large")},
}


class Scene(nn.Module):
    """The one output of a segmentation that counts."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x)["out"]


def randomise(network):
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2.0)


def export(folder, name):
    make, shape = NETWORKS[name]
    torch.manual_seed(0)
    network = make(weights=None, weights_backbone=None) if shape == SCENE else make(weights=None)
    randomise(network)
    network = (Scene(network) if shape == SCENE else network).eval()
    path = os.path.join(folder, f"{name}.onnx")
    torch.onnx.export(network, torch.randn(*shape), path + ".tmp", opset_version=13, input_names=["x"], output_names=["y"],
                      dynamic_axes={"x": {0: "n"}})
    os.replace(path + ".tmp", path)
    print(path)


def main():
    folder, *names = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    warnings.filterwarnings("ignore")
    for name in names or NETWORKS:
        export(folder, name)


if __name__ == "__main__":
    main()
