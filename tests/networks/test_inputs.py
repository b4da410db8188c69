import numpy as np
import torch
from gymnasium.spaces import Box, Dict, Discrete
from torch.testing import assert_close

from metarl_cli.networks.encoders import ObservationEncoder
from metarl_cli.networks.inputs import IMAGE_FEATURES, ConvNet, Inputs

PICTURE = Box(0, 255, (36, 44, 3), np.uint8)  # neither square nor as wide as high


def pictures(*batch):
    torch.manual_seed(0)
    return torch.randint(0, 256, (*batch, 36, 44, 3), dtype=torch.uint8)


def test_convnet_maps_pictures_of_any_leading_shape_one_by_one():
    net, image = ConvNet(PICTURE, out_dim=7), pictures(2, 3)
    assert net(image).shape == (2, 3, 7)
    assert_close(net(image)[1, 2], net(image[1, 2:])[0])


def test_convnet_tells_channels_and_places_apart():
    torch.manual_seed(0)
    net, images = ConvNet(PICTURE, out_dim=32), torch.zeros(5, 36, 44, 3, dtype=torch.uint8)
    for image, (row, column, channel) in zip(
        images[1:], [(0, 0, 0), (0, 0, 2), (24, 0, 0), (0, 24, 0)], strict=True
    ):
        image[row : row + 8, column : column + 8, channel] = 255
    distances = torch.cdist(net(images), net(images)) + torch.eye(5)
    assert distances.min() > 1e-3


def test_vectors_are_standardised_and_images_are_not():
    inputs = Inputs(PICTURE, extra_dim=1)
    features = {"vector": torch.tensor([[[1.0], [5.0]]]), "image": pictures(1, 2)}
    before = inputs(features)
    inputs.update_statistics(features, torch.ones(1, 2))
    after = inputs(features)
    assert after.shape == (1, 2, 1 + IMAGE_FEATURES)
    assert_close(after[0, :, 0], torch.tensor([-1.0, 1.0]))
    assert after[..., 1:].equal(before[..., 1:])


def test_statistics_are_taken_over_active_steps_of_all_trials():
    inputs = Inputs(Box(-1, 1, (1,), np.float32))
    x = torch.tensor([[1.0, 3.0], [5.0, 1000.0]]).unsqueeze(-1)  # [T, B, 1]
    inputs.update_statistics(x, torch.tensor([[1.0, 1.0], [1.0, 0.0]]))
    assert inputs.mean.tolist() == [3.0] and inputs.count.tolist() == [3.0]


def test_an_image_alone_comes_with_an_empty_vector():
    encoder, image = ObservationEncoder(PICTURE), pictures(2, 3)
    features = encoder(image)
    assert features["image"].dtype == torch.uint8 and features["image"].equal(image)
    assert features["vector"].shape == (2, 3, 0) and encoder.out_dim == 0
    inputs = Inputs(PICTURE)
    assert inputs(inputs.encode(image)).shape == (2, 3, IMAGE_FEATURES)


def test_what_stands_beside_an_image_goes_into_the_vector_and_extras_after_it():
    space = Dict({"image": PICTURE, "instruction": Discrete(2)})
    encoder = ObservationEncoder(space, extra_dim=1)
    obs = {"image": pictures(2), "instruction": torch.tensor([1, 0])}
    features = encoder(obs, torch.tensor([[7.0], [8.0]]))
    assert features["vector"].tolist() == [[0, 1, 7], [1, 0, 8]]
    assert encoder.out_dim == 3 and encoder.image == PICTURE


def test_without_an_image_features_are_one_tensor():
    encoder = ObservationEncoder(Discrete(2), extra_dim=1)
    assert encoder(torch.tensor([1]), torch.tensor([[7.0]])).tolist() == [[0, 1, 7]]
    assert encoder.image is None
