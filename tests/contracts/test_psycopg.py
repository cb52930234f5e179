"""What is relied on of psycopg beyond its documentation: rows of a result that it has are loaded once more."""


def test_a_transformer_loads_the_rows_of_a_result_and_single_values(postgres):
    from psycopg.adapt import Transformer
    from psycopg.pq import Format

    with postgres.open() as connection, connection.cursor("named") as cursor:
        cursor.execute("SELECT i, 'a' || i FROM generate_series(1, 3) AS i")
        before = cursor.pgresult
        assert cursor.fetchmany(2) == [(1, "a1"), (2, "a2")]
        result = cursor.pgresult
        assert result is not before
        transformer = Transformer(connection)
        transformer.set_pgresult(result)
        assert transformer.load_rows(0, result.ntuples, tuple) == [(1, "a1"), (2, "a2")]
        assert transformer.get_loader(result.ftype(0), Format.TEXT).load(result.get_value(1, 0)) == 2
