"""mem0's configuration of vector stores and graph stores, as documented, stands for engines beside the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from perdure.assemble import parts
from perdure.compat.mem0_config import MemoryConfig, translated
from perdure.config import Config
from perdure.errors import ConfigurationError


def made(**given):
    """The parts of an engine for a configuration of mem0's."""
    return parts(Config.from_dict(translated(given) or {}))


def vectors(provider, /, **config):
    return made(vector_store={"provider": provider, "config": config})["vectors"]


def graph(provider, /, **config):
    return made(graph_store={"provider": provider, "config": config})["graph"]


def test_qdrant_with_every_option_that_guides_name():
    engine = vectors(
        "qdrant",
        collection_name="memories",
        embedding_model_dims=1536,
        host="localhost",
        port=6333,
        grpc_port=6334,
        prefer_grpc=True,
        timeout=5,
        connection_pool_size=50,
        on_disk=True,
        hnsw_config={"m": 16, "ef_construct": 200},
        quantization_config={"scalar": {"type": "int8", "quantile": 0.99}},
    )
    assert (engine.prefix, engine.host, engine.port, engine.grpc_port) == (
        "memories",
        "localhost",
        6333,
        6334,
    )
    assert (engine.prefer_grpc, engine.timeout, engine.connection_pool_size, engine.on_disk) == (
        True,
        5,
        50,
        True,
    )
    assert engine.hnsw_config["ef_construct"] == 200
    assert engine.quantization_config == {"scalar": {"type": "int8", "quantile": 0.99}}


def test_options_may_stand_beside_the_provider():
    engine = made(vector_store={"provider": "qdrant", "path": "/x"})["vectors"]
    assert engine.path == Path("/x")
    with pytest.raises(ConfigurationError, match="'tempo'"):
        made(vector_store={"provider": "qdrant", "tempo": 3})


def test_qdrant_is_a_server_where_one_is_named_and_else_a_folder():
    engine = vectors("qdrant", url="https://there:6333", api_key="hunter2", path="/x")
    assert (engine.url, engine.path, engine.api_key.get_secret_value()) == (
        "https://there:6333",
        None,
        "hunter2",
    )
    assert vectors("qdrant", path="/x").path == Path("/x")
    assert vectors("qdrant").path == Path("/tmp/qdrant")
    assert vectors("qdrant", host="there", port=1, https=True).https is True


def test_chroma_is_a_server_a_cloud_or_a_folder():
    assert vectors("chroma", host="there", port=8001).name == "Chroma at there:8001"
    assert vectors("chroma", collection_name="c", path="/x").path == Path("/x")
    assert vectors("chroma").path == Path("/tmp/chroma")
    cloud = vectors("chroma", api_key="hunter2", tenant="t")
    assert (cloud.name, cloud.tenant, cloud.database) == ("Chroma at api.trychroma.com", "t", "mem0")


def test_pgvector_by_its_parts_or_by_a_connection_string():
    given = {"dbname": "d", "user": "u", "password": "hunter2", "host": "h", "port": 5433}
    engine = vectors("pgvector", **given, hnsw=True, diskann=False, minconn=1, maxconn=7, sslmode="require")
    assert (engine.name, engine.user, engine.hnsw) == ("pgvector at h:5433/d", "u", True)
    assert (engine.connections, engine.sslmode, engine.password.get_secret_value()) == (
        7,
        "require",
        "hunter2",
    )
    engine = vectors("pgvector", connection_string="postgresql://u:hunter2@h:1/d", collection_name="c")
    assert (engine.name, engine.prefix) == ("pgvector at h:1/d", "c")
    assert "hunter2" not in repr(engine)
    engine = vectors("pgvector", user="test", password="123", host="127.0.0.1", port="5432")
    assert engine.name == "pgvector at 127.0.0.1:5432/postgres"


def test_supabase_is_pgvector():
    url = "postgresql://u:hunter2@h:1/d"
    engine = vectors(
        "supabase",
        connection_string=url,
        collection_name="memories",
        index_method="hnsw",
        index_measure="cosine_distance",
    )
    assert (engine.name, engine.prefix, engine.hnsw) == ("pgvector at h:1/d", "memories", True)
    assert not vectors("supabase", connection_string=url).hnsw


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"url": "127.0.0.1"}, "Milvus at 127.0.0.1:19530"),
        ({"url": "there:1"}, "Milvus at there:1"),
        ({"host": "there"}, "Milvus at there:19530"),
        ({"host": "there", "port": 1}, "Milvus at there:1"),
        ({"url": "https://in03.zillizcloud.com"}, "Milvus at in03.zillizcloud.com"),
        ({"url": "milvus.db"}, "Milvus in milvus.db"),
    ],
)
def test_milvus_by_its_host_or_by_a_url(config, name):
    assert vectors("milvus", **config).name == name


def test_milvus_is_a_server_or_a_folder():
    engine = vectors("milvus", url="http://there:19530", token="hunter2", db_name="d", metric_type="L2")
    assert (engine.name, engine.db_name) == ("Milvus at there:19530", "d")
    assert vectors("milvus", url="./milvus.db").path == Path("milvus.db")
    assert vectors("milvus").name == "Milvus at localhost:19530"


def test_redis_is_redis():
    assert vectors("redis", redis_url="redis://there:6379", collection_name="c").prefix == "c"
    assert vectors("redis", redis_url="redis://there:6379").name == "Redis at there:6379"


@pytest.mark.parametrize("provider", ["pinecone", "faiss", "weaviate", "langchain", "nonsense"])
def test_a_vector_store_that_is_left_out_names_the_ways_that_are_open(provider):
    with pytest.raises(
        ConfigurationError, match=rf"vector_store '{provider}' is not available here: leave it out.*qdrant"
    ):
        vectors(provider)


@pytest.mark.parametrize("provider", ["qdrant", "chroma", "pgvector", "milvus", "redis"])
def test_an_option_that_none_knows_is_an_error(provider):
    with pytest.raises(ConfigurationError, match=r"vector_store.config has 'tempo'"):
        vectors(provider, tempo=3)
    with pytest.raises(ConfigurationError, match="an object of your own: give host, port or url instead"):
        vectors(provider, client=object())


def test_neo4j_is_neo4j():
    url = "neo4j://there:7687"
    engine = graph("neo4j", url=url, username="u", password="hunter2", base_label=True)
    assert (engine.url, engine.username, engine.password.get_secret_value()) == (url, "u", "hunter2")
    assert "hunter2" not in repr(engine)


def test_falkordb_is_falkordb():
    engine = graph("falkordb", host="there", port=6380, database="mem0")
    assert (engine.name, engine.prefix) == ("FalkorDB at there:6380/0", "mem0")


@pytest.mark.parametrize("provider", ["kuzu", "memgraph", "neptune"])
def test_a_graph_store_that_is_left_out_names_the_ways_that_are_open(provider):
    with pytest.raises(
        ConfigurationError, match=rf"graph_store '{provider}' is not available here.*neo4j or falkordb"
    ):
        graph(provider, url="bolt://there:7687")


def test_what_a_graph_store_is_told_of_models_has_no_counterpart():
    with pytest.raises(ConfigurationError, match=r"graph_store has 'custom_prompt'.*leave it out"):
        made(graph_store={"provider": "neo4j", "custom_prompt": "All of it"})
    with pytest.raises(ConfigurationError, match=r"graph_store.config has 'tempo'"):
        graph("neo4j", url="bolt://x", tempo=3)


def test_a_configuration_object_is_read_as_a_dictionary_is():
    config = MemoryConfig(
        vector_store={"provider": "chroma", "config": {"host": "h"}}, graph_store={"provider": "falkordb"}
    )
    made = parts(Config.from_dict(translated(config)))
    assert (made["vectors"].name, made["graph"].name) == ("Chroma at h:8000", "FalkorDB at localhost:6379/0")
