# SPDX-License-Identifier: Apache-2.0
"""ONNX: export, parity check, ONNX Runtime session, cache."""
