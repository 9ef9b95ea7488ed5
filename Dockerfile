# SPDX-License-Identifier: Apache-2.0
# The node beside ROS. PyTorch from PyPI has CUDA on x86-64 and also runs without a GPU:
#   docker build -t sgnet_ros .
#   docker run --rm --net host --ipc host [--gpus all] sgnet_ros
# Without CUDA, several GB smaller: --build-arg TORCH_INDEX=URL, the index of PyTorch's CPU builds.
# Other distributions: --build-arg ROS_DISTRO=humble, or lyrical and --build-arg 'NUMPY=numpy>=2'.
# The apt and pip lines are those of docs/installation.md; a test compares them.
ARG ROS_DISTRO=jazzy

FROM ros:${ROS_DISTRO}-ros-base AS base
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV PATH=/opt/sgnet_venv/bin:$PATH
COPY package.xml /ws/src/sgnet_ros/package.xml
WORKDIR /ws
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-venv python3-rosdep python3-colcon-common-extensions \
 && rosdep update --rosdistro "$ROS_DISTRO" \
 && rosdep install -y --from-paths src --ignore-src --dependency-types exec \
 && rm -rf /var/lib/apt/lists/*

FROM base AS build
ARG TORCH_INDEX=
ARG NUMPY='numpy>=1.26,<2'
# hadolint ignore=DL3013
RUN python3 -m venv --system-site-packages /opt/sgnet_venv \
 && pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch \
 && pip install --no-cache-dir torch safetensors 'rosbags>=0.11.9,<0.12' mcap tqdm jinja2 matplotlib "$NUMPY" 'opencv-python<5'
COPY . src/sgnet_ros
RUN . "/opt/ros/$ROS_DISTRO/setup.bash" && colcon build

FROM base AS runtime
COPY --from=build /opt/sgnet_venv /opt/sgnet_venv
COPY --from=build /ws/install /ws/install
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
ENTRYPOINT ["/bin/bash", "-c", "source /opt/ros/$ROS_DISTRO/setup.bash && source /ws/install/setup.bash && exec \"$@\"", "--"]
CMD ["ros2", "launch", "sgnet_ros", "segmentation.launch.py"]
