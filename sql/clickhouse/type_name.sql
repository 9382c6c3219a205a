-- A type as ClickHouse itself writes it.
SELECT toTypeName(defaultValueOfTypeName({type:String})) AS type
