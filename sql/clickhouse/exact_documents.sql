-- Whether the server's parser of JSON keeps all digits of a number. There are two, and the one of servers that were built without the other does not.
SELECT toString(CAST(materialize('{"a":123456789.12345679}'), 'JSON')) = '{"a":123456789.12345679}' AS exact
SETTINGS allow_simdjson = 1
