using DarkStorage.Select;
using DarkStorage.Select.Sql;
using Xunit;

namespace DarkStorage.Unit.Select;

/// <summary>Expressions of S3 Select: what they yield, and where and as what they are refused.</summary>
public sealed class ExpressionTests
{
    /// <summary>An expression over the record below, and its value in JSON; nothing where the field is missing.</summary>
    public static TheoryData<string, string> Values => Table("""
        1 => 1
        -1 => -1
        1.5 => 1.5
        'text' => "text"
        'it''s' => "it's"
        TRUE => true
        NULL => null
        s.i => 7
        s."i" => 7
        s."I" =>
        s.I => 7
        i => 7
        S3Object.i => 7
        s.big => 12345678901234567890
        s.f => 1.50
        s.t => "Text"
        s.b => true
        s.n => null
        s.none =>
        s.o => {"a":1,"b":[1,2]}
        s.o.a => 1
        s['o']['b'][1] => 2
        s.o.b[7] =>
        s.a[0] => 10
        s.a[1].x => "y"
        1 + 2 * 3 => 7
        (1 + 2) * 3 => 9
        7 / 2 => 3
        7.0 / 2 => 3.5
        7 % 4 => 3
        -7 % 4 => -3
        1 / 0 => null
        1 % 0 => null
        - s.i => -7
        - - 3 => 3
        + s.i => 7
        s.i + '3' => 10
        s.n + 1 => null
        'a' || 'b' || 'c' => "abc"
        s.t || 1 => "Text1"
        s.n || 'x' => null
        1 = 1.0 => true
        1 <> 2 => true
        1 != 1 => false
        2 < 10 => true
        '2' < '10' => false
        2 < '10' => true
        s.t = 'Text' => true
        s.t = 'text' => false
        s.t = 5 => null
        s.n = NULL => null
        s.b = 'true' => true
        s.big > 12345678901234567 => true
        NOT TRUE => false
        NOT NULL => null
        NOT NOT TRUE => true
        TRUE AND FALSE => false
        NULL AND FALSE => false
        NULL OR TRUE => true
        NULL AND TRUE => null
        1 = 1 OR 1 = 2 AND 1 = 3 => true
        s.i BETWEEN 1 AND 10 => true
        s.i NOT BETWEEN 1 AND 10 => false
        s.i BETWEEN 8 AND NULL => false
        s.i BETWEEN 1 AND NULL => null
        s.i IN (1, 7) => true
        s.i IN (1, '7') => true
        s.i IN (1, 2) => false
        s.i IN (1, NULL) => null
        s.i NOT IN (1, 2) => true
        s.i IN (s.i + 1, s.i) => true
        s.t IN ('Text', 5) => true
        s.f IN (1.5) => true
        s.t LIKE 'T%' => true
        s.t LIKE 't%' => false
        s.t LIKE '_ex_' => true
        s.t LIKE 'Tex' => false
        s.t NOT LIKE '%z%' => true
        '10%' LIKE '10!%' ESCAPE '!' => true
        '100' LIKE '10!%' ESCAPE '!' => false
        'aXbXc' LIKE '%X%X%' => true
        'ä' LIKE '_' => true
        s.n LIKE 'x' => null
        s.n IS NULL => true
        s.none IS NULL => true
        s.i IS NOT NULL => true
        s.n IS MISSING => false
        s.none IS MISSING => true
        s.none IS NOT MISSING => false
        s.b IS TRUE => true
        s.b IS NOT FALSE => true
        s.n IS TRUE => false
        CASE WHEN s.i > 5 THEN 'big' ELSE 'small' END => "big"
        CASE WHEN s.i > 50 THEN 'big' END => null
        CASE s.i WHEN 1 THEN 'one' WHEN 7 THEN 'seven' END => "seven"
        CASE s.t WHEN 'x' THEN 1 ELSE 2 END => 2
        CASE WHEN TRUE THEN 1 ELSE CAST('x' AS INT) END => 1
        CAST('12' AS INT) => 12
        CAST(' 12 ' AS INTEGER) => 12
        CAST(1.9 AS INT) => 1
        CAST(-1.9 AS INT) => -1
        CAST(TRUE AS INT) => 1
        CAST('1.5' AS FLOAT) => 1.5
        CAST('1.5' AS DECIMAL(10, 2)) => 1.5
        CAST(12 AS STRING) => "12"
        CAST(TRUE AS VARCHAR(10)) => "true"
        CAST('true' AS BOOL) => true
        CAST(0 AS BOOLEAN) => false
        CAST(NULL AS INT) => null
        CAST('2020-01-02T' AS TIMESTAMP) => "2020-01-02T"
        COALESCE(s.none, s.n, 5) => 5
        COALESCE(s.i) => 7
        NULLIF(s.i, 7) => null
        NULLIF(s.i, 8) => 7
        UPPER(s.t) => "TEXT"
        LOWER('ÄB') => "äb"
        CHAR_LENGTH('äöü') => 3
        CHARACTER_LENGTH('') => 0
        SUBSTRING('123456789', 0) => "123456789"
        SUBSTRING('123456789', 2, 3) => "234"
        SUBSTRING('123456789', 0, 999) => "123456789"
        SUBSTRING('123456789', -1, 4) => "12"
        SUBSTRING('1', 9) => ""
        SUBSTRING('äöü' FROM 2 FOR 1) => "ö"
        SUBSTRING('äöü' FROM 3) => "ü"
        TRIM('  x  ') => "x"
        TRIM(LEADING FROM '  x ') => "x "
        TRIM(TRAILING FROM ' x  ') => " x"
        TRIM(BOTH '12' FROM '1112212foobar22211122') => "foobar"
        TRIM('x' FROM 'xax') => "a"
        EXTRACT(YEAR FROM TO_TIMESTAMP('2010-01-01T')) => 2010
        EXTRACT(MONTH FROM TO_TIMESTAMP('2010-11T')) => 11
        EXTRACT(HOUR FROM TO_TIMESTAMP('2017-01-02T03:04:05+07:08')) => 3
        EXTRACT(TIMEZONE_HOUR FROM TO_TIMESTAMP('2017-01-02T03:04:05+07:08')) => 7
        EXTRACT(TIMEZONE_MINUTE FROM TO_TIMESTAMP('2017-01-02T03:04:05+07:08')) => 8
        DATE_ADD(year, 5, `2010-01-01T`) => "2015-01-01T"
        DATE_ADD(month, 1, `2010T`) => "2010-02T"
        DATE_ADD(month, -1, `2017-01-10T`) => "2016-12-10T"
        DATE_ADD(day, -1, `2017-01-10T`) => "2017-01-09T"
        DATE_ADD(hour, 1, `2017-01-02T03:04Z`) => "2017-01-02T04:04Z"
        DATE_ADD(second, 1, `2017-01-02T03:04:05.006Z`) => "2017-01-02T03:04:06.006Z"
        DATE_DIFF(year, `2010-01-01T`, `2011-01-01T`) => 1
        DATE_DIFF(year, `2010-12T`, `2011-01T`) => 0
        DATE_DIFF(month, `2010T`, `2010-05T`) => 4
        DATE_DIFF(month, `2010T`, `2011T`) => 12
        DATE_DIFF(month, `2011T`, `2010T`) => -12
        DATE_DIFF(day, `2010-01-01T23:00Z`, `2010-01-02T01:00Z`) => 0
        TO_STRING(`1969-07-20T20:18Z`, 'MMMM d, y') => "July 20, 1969"
        TO_STRING(`1969-07-20T20:18Z`, 'MMM d, yyyy') => "Jul 20, 1969"
        TO_STRING(`1969-07-20T20:18Z`, 'M-d-yy') => "7-20-69"
        TO_STRING(`1969-07-20T20:18Z`, 'MM-d-y h:m a') => "07-20-1969 8:18 PM"
        TO_STRING(`1969-07-20T20:18Z`, 'y-MM-dd''T''H:m:ssX') => "1969-07-20T20:18:00Z"
        TO_STRING(`1969-07-20T20:18+08:00`, 'y-MM-dd H:mxxxx') => "1969-07-20 20:18+0800"
        `2017-01-01T` < `2017-01-02T` => true
        `2017-01-01T00:00+01:00` = `2016-12-31T23:00Z` => true
        UTCNOW() > `2020-01-01T` => true
        s._1.i => 7
        """);

    [Theory, MemberData(nameof(Values))]
    public async Task An_expression_has_its_value(string expression, string value)
    {
        const string Record = """{"i":7,"big":12345678901234567890,"f":1.50,"t":"Text","b":true,"n":null,"o":{"a":1,"b":[1,2]},"a":[10,{"x":"y"}]}""";
        var answer = await Queries.JsonAsync($"SELECT {expression} AS v FROM S3Object s", Record);
        Assert.Equal(value.Length == 0 ? "{}\n" : $"{{\"v\":{value}}}\n", answer);
    }

    /// <summary>Where ¦ stands, the message says that the expression is wrong.</summary>
    public static TheoryData<string, string> Errors => Table("""
        ¦ => ParseEmptySelect
        ¦UPDATE S3Object => ParseExpectedKeyword
        SELECT ¦FROM S3Object => ParseEmptySelect
        SELECT *¦ => ParseSelectMissingFrom
        SELECT * FROM ¦ => InvalidDataSource
        SELECT * FROM ¦other => InvalidDataSource
        SELECT * FROM S3Object s¦, S3Object t => MultipleDataSourcesUnsupported
        SELECT * FROM S3Object ¦JOIN t => MultipleDataSourcesUnsupported
        SELECT * FROM S3Object AS ¦WHERE 1=1 => ParseExpectedIdentForAlias
        SELECT * FROM S3Object s ¦GROUP BY a => UnsupportedSqlStructure
        SELECT * FROM S3Object s ¦ORDER BY a => UnsupportedSqlStructure
        SELECT *¦, a FROM S3Object => ParseAsteriskIsNotAloneInSelectList
        SELECT a, ¦* FROM S3Object => ParseAsteriskIsNotAloneInSelectList
        SELECT ¦DISTINCT a FROM S3Object => ParseUnsupportedSelect
        SELECT a, ¦FROM S3Object => ParseExpectedExpression
        SELECT a AS ¦1 FROM S3Object => ParseExpectedIdentForAlias
        SELECT a FROM S3Object WHERE ¦ => ParseExpectedExpression
        SELECT a FROM S3Object WHERE a = ¦ => ParseExpectedExpression
        SELECT a FROM S3Object WHERE a ¦b => ParseUnexpectedToken
        SELECT a FROM S3Object WHERE ¦= 1 => ParseUnexpectedOperator
        SELECT a FROM S3Object WHERE ¦WHERE => ParseUnExpectedKeyword
        SELECT a FROM S3Object WHERE (a = 1¦ => ParseExpectedTokenType
        SELECT a FROM S3Object WHERE a = 1¦) => ParseUnexpectedToken
        SELECT a FROM S3Object WHERE (1¦, 2) = 1 => ParseUnsupportedSyntax
        SELECT a FROM S3Object WHERE a IN ¦1 => ParseExpectedLeftParenValueConstructor
        SELECT a FROM S3Object WHERE a BETWEEN 1 ¦OR 2 => ParseExpectedKeyword
        SELECT a FROM S3Object WHERE a IS ¦5 => ParseExpectedKeyword
        SELECT a FROM S3Object WHERE a + 1 IS ¦MISSING => UnsupportedSyntax
        SELECT a FROM S3Object LIMIT ¦x => ParseExpectedNumber
        SELECT a FROM S3Object LIMIT ¦1.5 => ParseExpectedNumber
        SELECT a FROM S3Object LIMIT -¦1 => EvaluatorNegativeLimit
        SELECT a FROM S3Object LIMIT 1 ¦2 => ParseUnexpectedToken
        SELECT ¦'open FROM S3Object => LexerInvalidLiteral
        SELECT ¦12a FROM S3Object => LexerInvalidLiteral
        SELECT ¦1e FROM S3Object => LexerInvalidLiteral
        SELECT a ¦# b FROM S3Object => LexerInvalidChar
        SELECT a ¦! b FROM S3Object => LexerInvalidOperator
        SELECT a ¦| b FROM S3Object => LexerInvalidOperator
        SELECT ¦`yesterday` FROM S3Object => LexerInvalidIONLiteral
        SELECT ¦SQRT(a) FROM S3Object => UnsupportedFunction
        SELECT ¦CAST a AS INT FROM S3Object => ParseExpectedLeftParenAfterCast
        SELECT CAST(a AS ¦BLOB) FROM S3Object => ParseExpectedTypeName
        SELECT CAST(a AS ¦5) FROM S3Object => ParseExpectedTypeName
        SELECT CAST(a¦, INT) FROM S3Object => ParseCastArity
        SELECT CAST(a AS DECIMAL(¦x)) FROM S3Object => ParseInvalidTypeParam
        SELECT CAST(a AS INT FROM S3Object¦ => ParseSelectMissingFrom
        SELECT SUM(¦*) FROM S3Object => ParseUnsupportedCallWithStar
        SELECT COUNT(¦) FROM S3Object => ParseNonUnaryAgregateFunctionCall
        SELECT COUNT(a¦, b) FROM S3Object => ParseNonUnaryAgregateFunctionCall
        SELECT COUNT(¦DISTINCT a) FROM S3Object => ParseUnsupportedSyntax
        SELECT SUM(¦SUM(a)) FROM S3Object => UnsupportedSqlStructure
        SELECT SUM(a), ¦b FROM S3Object => UnsupportedSqlStructure
        SELECT a FROM S3Object WHERE ¦COUNT(*) > 1 => UnsupportedSqlStructure
        SELECT a FROM S3Object WHERE a = (¦SELECT 1) => UnsupportedSqlStructure
        SELECT CASE ¦END FROM S3Object => ParseUnExpectedKeyword
        SELECT CASE a ¦END FROM S3Object => ParseExpectedWhenClause
        SELECT CASE WHEN a ¦END FROM S3Object => ParseExpectedKeyword
        SELECT ¦NULLIF(a) FROM S3Object => EvaluatorInvalidArguments
        SELECT ¦UTCNOW(1) FROM S3Object => EvaluatorInvalidArguments
        SELECT SUBSTRING(a¦) FROM S3Object => ParseExpectedArgumentDelimiter
        SELECT DATE_ADD(¦week, 1, a) FROM S3Object => ParseExpectedDatePart
        SELECT EXTRACT(¦era FROM a) FROM S3Object => ParseExpectedDatePart
        SELECT a.¦'x' FROM S3Object => ParseInvalidPathComponent
        SELECT a[¦*] FROM S3Object => ParseInvalidContextForWildcardInSelectList
        SELECT a[¦-1] FROM S3Object => ParseInvalidPathComponent
        SELECT a[1 ¦FROM S3Object => ParseExpectedTokenType
        SELECT ¦_0 FROM S3Object => InvalidColumnIndex
        """);

    [Theory, MemberData(nameof(Errors))]
    public void A_malformed_expression_is_refused_by_code_and_place(string expression, string code)
    {
        var place = expression.IndexOf('¦', StringComparison.Ordinal);
        var refused = Assert.Throws<SelectException>(() => Parser.Parse(expression.Remove(place, 1)));
        Assert.Equal((code, place), (refused.Code, refused.Position));
        Assert.Contains($"character {place + 1} ", refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("CAST('x' AS INT)", "CastFailed")]
    [InlineData("CAST('x' AS TIMESTAMP)", "CastFailed")]
    [InlineData("CAST(1e300 AS INT)", "IntegerOverflow")]
    [InlineData("'x' * 2", "CastFailed")]
    [InlineData("s.i LIKE 'x'", "LikeInvalidInputs")]
    [InlineData("'x' LIKE 'x!' ESCAPE '!'", "LikeInvalidInputs")]
    [InlineData("'x' LIKE 'x' ESCAPE 'ab'", "LikeInvalidInputs")]
    [InlineData("UPPER(5)", "IncorrectSqlFunctionArgumentType")]
    [InlineData("SUBSTRING('x', 'y')", "EvaluatorInvalidArguments")]
    [InlineData("SUBSTRING('x', 1, -1)", "EvaluatorInvalidArguments")]
    [InlineData("EXTRACT(year FROM 5)", "EvaluatorInvalidArguments")]
    [InlineData("DATE_ADD(year, 99999, `2010T`)", "EvaluatorInvalidArguments")]
    [InlineData("TO_STRING(`2010T`, 'q')", "EvaluatorInvalidTimestampFormatPattern")]
    public async Task What_can_not_be_computed_is_refused_by_code(string expression, string code) =>
        await Queries.RefusedAsync(code, () => Queries.JsonAsync($"SELECT {expression} FROM S3Object s", """{"i":7}"""));

    [Fact]
    public async Task An_expression_is_bounded_in_length_depth_and_width()
    {
        await Queries.RefusedAsync("ExpressionTooLong", () => Queries.CsvAsync($"SELECT '{new string('x', 256 << 10)}' FROM S3Object", "a"));
        await Queries.RefusedAsync("ExpressionTooLong", () => Queries.CsvAsync($"SELECT {string.Join('+', Enumerable.Repeat("1", 40_000))} FROM S3Object", "a"));
        await Queries.RefusedAsync("UnsupportedSyntax", () => Queries.CsvAsync($"SELECT {new string('(', 100)}1{new string(')', 100)} FROM S3Object", "a"));
        await Queries.RefusedAsync("UnsupportedSyntax", () => Queries.CsvAsync($"SELECT {string.Join('+', Enumerable.Repeat("1", 1_000))} FROM S3Object", "a"));
        await Queries.RefusedAsync("OverMaxColumn", () => Queries.CsvAsync($"SELECT {string.Join(',', Enumerable.Repeat("1", 1_001))} FROM S3Object", "a"));
    }

    [Fact]
    public async Task Long_lists_and_chains_of_conditions_are_taken()
    {
        var numbers = string.Join(',', Enumerable.Range(0, 10_000));
        Assert.Equal("9999\n", await Queries.CsvAsync($"SELECT a FROM S3Object WHERE CAST(a AS INT) IN ({numbers})", "a\n9999\n10000\n"));
        var conditions = string.Join(" OR ", Enumerable.Range(0, 4_000).Select(i => $"a = '{i}'"));
        Assert.Equal("3999\n", await Queries.CsvAsync($"SELECT a FROM S3Object WHERE {conditions}", "a\n3999\n4000\n"));
    }

    [Fact]
    public async Task A_value_that_grows_past_its_bound_is_refused()
    {
        var joined = string.Join("||", Enumerable.Repeat("a", 40));
        await Queries.RefusedAsync("OverMaxRecordSize", () => Queries.CsvAsync($"SELECT CHAR_LENGTH({joined}) FROM S3Object", "a\n" + new string('x', 1_000_000)));
        await Queries.RefusedAsync("OverMaxRecordSize", () => Queries.CsvAsync("SELECT a || a FROM S3Object", "a\n" + new string('x', 1_000_000)));
    }

    /// <summary>A short expression and a record of 1 MiB are all that whoever asks needs: what is made of them must not be a thousand times as much.</summary>
    [Theory]
    [InlineData("SELECT {0} FROM S3Object", "a", 1_000, false)]
    [InlineData("SELECT {0} FROM S3Object", "a", 1_000, true)]
    [InlineData("SELECT {0} FROM S3Object", "a||a||a||a||a||a||a||a", 1_000, false)]
    [InlineData("SELECT {0} FROM S3Object", "UPPER(a)", 1_000, false)]
    [InlineData("SELECT {0} FROM S3Object", "CASE WHEN TRUE THEN a END", 1_000, false)]
    [InlineData("SELECT COUNT(*) FROM S3Object WHERE 'b' IN ({0})", "a", 99, false)]
    [InlineData("SELECT COUNT(*) FROM S3Object WHERE '' IN ({0})", "a||a||a||a||a||a||a||a", 99, false)]
    [InlineData("SELECT {0} FROM S3Object", "MAX(a||a||a||a||a||a||a||a)", 100, false)]
    public async Task What_is_made_of_one_record_is_bounded(string sql, string part, int times, bool json)
    {
        const long MadeMax = 256 << 20;
        var query = string.Format(System.Globalization.CultureInfo.InvariantCulture, sql, string.Join(',', Enumerable.Repeat(part, times)));
        var before = GC.GetAllocatedBytesForCurrentThread();
        var run = Queries.RunAsync(query, "a\n" + new string('x', 1_000_000), new CsvInput(FileHeader.Use), json ? new JsonOutput() : new CsvOutput());
        Assert.True(run.IsCompleted, "All of it is of this thread.");
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, MadeMax);
        await Queries.RefusedAsync("OverMaxRecordSize", () => run);
    }

    [Fact]
    public async Task A_pattern_that_is_a_trap_is_refused()
    {
        var text = "a\n" + new string('x', 1_000_000) + "\n";
        await Queries.RefusedAsync("LikeInvalidInputs", () => Queries.CsvAsync($"SELECT COUNT(*) FROM S3Object WHERE a LIKE '%{new string('x', 2_000)}y%'", text));
        var many = string.Join(" OR ", Enumerable.Range(0, 50).Select(i => $"a LIKE '%xxxxx{i}%'"));
        await Queries.RefusedAsync("LikeInvalidInputs", () => Queries.CsvAsync($"SELECT COUNT(*) FROM S3Object WHERE {many}", text));
        // Each record has as many as the one before.
        var records = "a\n" + string.Concat(Enumerable.Repeat(new string('x', 10_000) + "\n", 200));
        Assert.Equal("0\n", await Queries.CsvAsync($"SELECT COUNT(*) FROM S3Object WHERE a LIKE '%{new string('x', 100)}y%'", records));
    }

    [Fact]
    public async Task What_aggregates_keep_is_bounded()
    {
        // Each keeps the long text of another record.
        var parts = string.Join(',', Enumerable.Range(0, 100).Select(i => $"CHAR_LENGTH(MAX(CASE WHEN a = '{i}' THEN b || b || b || b END))"));
        var records = string.Concat(Enumerable.Range(0, 100).Select(i => $"{i},{new string('x', 200_000)}\n"));
        await Queries.RefusedAsync("OverMaxRecordSize", () => Queries.CsvAsync($"SELECT {parts} FROM S3Object", "a,b\n" + records));
    }

    [Fact]
    public async Task Many_texts_are_joined()
    {
        var joined = string.Join("||", Enumerable.Range(0, 1_000).Select(i => i % 3 == 0 ? "a" : i % 3 == 1 ? $"'{i}'" : "CAST(7 AS INT)"));
        var wanted = string.Concat(Enumerable.Range(0, 1_000).Select(i => i % 3 == 0 ? "x" : i % 3 == 1 ? $"{i}" : "7"));
        Assert.Equal(wanted + "\n", await Queries.CsvAsync($"SELECT {joined} FROM S3Object", "a\nx\n"));
    }

    [Fact]
    public void Nothing_of_the_expression_stands_in_the_SQL()
    {
        const string Evil = "'; DROP TABLE x; --";
        var statement = Parser.Parse($"SELECT \"{Evil}\", '{Evil.Replace("'", "''", StringComparison.Ordinal)}' || 'x' AS \"{Evil}\" FROM S3Object WHERE \"{Evil}\" = 'evil' AND 77 < 88");
        var sql = Translator.Translate(statement, isCsv: true, DateTimeOffset.UnixEpoch).RowSql!;
        Assert.Equal("SELECT s3_concat(@v0, @v1) WHERE (((@c0=@v2) AND (@v3<@v4))) IS TRUE", sql);
    }

    [Fact]
    public async Task The_first_side_of_AND_guards_the_second()
    {
        const string Csv = "kind,value\nnumber,5\ntext,abc\nnumber,50\n";
        Assert.Equal("50\n", await Queries.CsvAsync("SELECT value FROM S3Object WHERE kind = 'number' AND CAST(value AS INT) > 10", Csv));
        Assert.Equal("50\n", await Queries.CsvAsync("SELECT value FROM S3Object WHERE value > 10", Csv));
    }

    private static TheoryData<string, string> Table(string lines)
    {
        var data = new TheoryData<string, string>();
        foreach (var line in lines.Split('\n'))
        {
            var arrow = line.LastIndexOf(" =>", StringComparison.Ordinal);
            data.Add(line[..arrow], line[(arrow + 3)..].Trim());
        }
        return data;
    }
}
