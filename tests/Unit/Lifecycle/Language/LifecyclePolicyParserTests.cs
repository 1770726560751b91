using System.Text;
using DarkStorage.Rules.Lifecycle.Language;
using Xunit;

namespace DarkStorage.Unit.Lifecycle.Language;

public sealed class LifecyclePolicyParserTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData("access < 30d -> warm", "access < 30d -> warm\n")]
    [InlineData("age > 365d AND access_count == 0 -> archive", "age > 365d AND access_count == 0 -> archive\n")]
    [InlineData("file_extension IN (.log, .txt) AND age > 7d -> warm", "file_extension IN (.log, .txt) AND age > 1w -> warm\n")]
    [InlineData("access_count_7d > 10 -> hot", "access_count_7d > 10 -> hot\n")]
    [InlineData("size > 1GB -> cold; tag.project == \"x\" -> warm", "size > 1GB -> cold\ntag.project == \"x\" -> warm\n")]
    [InlineData("-> warm", "-> warm\n")]
    [InlineData("->warm;->cold", "-> warm\n-> cold\n")]
    [InlineData("age>30d->warm", "age > 30d -> warm\n")]
    [InlineData("\uFEFF; ;\n# all of it\r\nAGE >= 48H # two days\r\n  -> tier-2;;\n", "age >= 2d -> tier-2\n")]
    [InlineData("not not Noncurrent and (age > 1d or (size > 1kb)) -> warm", "NOT NOT noncurrent AND (age > 1d OR size > 1KB) -> warm\n")]
    [InlineData("NOT (age > 1d AND size > 1) -> warm", "NOT (age > 1d AND size > 1B) -> warm\n")]
    [InlineData("(age > 1d AND (size > 1 AND tier == hot)) OR (noncurrent) -> warm", "age > 1d AND size > 1B AND tier == hot OR noncurrent -> warm\n")]
    [InlineData("name like \"logs/*\" and name not like \"*.gz\" and tag.\"a b\" not in (\"x\") -> warm", "name LIKE \"logs/*\" AND name NOT LIKE \"*.gz\" AND tag.\"a b\" NOT IN (\"x\") -> warm\n")]
    [InlineData("file_extension == \".LOG\" OR file_extension != \"\" -> warm", "file_extension == .log OR file_extension != \"\" -> warm\n")]
    [InlineData("tier IN (\"in\", hot, 2nd) AND storage_class != STANDARD -> in", "tier IN (\"in\", hot, 2nd) AND storage_class != STANDARD -> in\n")]
    [InlineData("name == \"\\\"\\\\\\u{1F600}\\u{7}\" -> warm", "name == \"\\\"\\\\😀\\u{7}\" -> warm\n")]
    [InlineData("TAG.Project == \"x\" -> warm", "tag.Project == \"x\" -> warm\n")]
    [InlineData("noncurrent_age >= 90min OR access_count_90d IN (0, 1) -> warm", "noncurrent_age >= 90min OR access_count_90d IN (0, 1) -> warm\n")]
    public void A_text_is_read_as_what_it_says(string text, string canonical) => Assert.Equal(canonical, LifecyclePolicy.Parse(text).ToString());

    [Theory]
    [InlineData("acces_count > 3 -> warm", "Line 1, column 1: There is no attribute acces_count: did you mean access_count?\nacces_count > 3 -> warm\n^")]
    [InlineData("prefix == \"a\" -> warm", "Line 1, column 1: There is no attribute prefix: did you mean name LIKE \"logs/*\"?\nprefix == \"a\" -> warm\n^")]
    [InlineData("access_count_91d > 3 -> warm", "Line 1, column 1: There is no attribute access_count_91d: accesses are counted for 1 to 90 days: access_count_1d to access_count_90d.\naccess_count_91d > 3 -> warm\n^")]
    [InlineData("age > 6m -> warm", "Line 1, column 7: 6m could be minutes or months: write 6min, or the months in days.\nage > 6m -> warm\n      ^")]
    [InlineData("age > 1y -> warm", "Line 1, column 7: Years are not all as long: write 1y in days.\nage > 1y -> warm\n      ^")]
    [InlineData("age > 30 -> warm", "Line 1, column 7: 30 of what? Write 30d for days; there are s, min, h, d and w too.\nage > 30 -> warm\n      ^")]
    [InlineData("age > 1.5d -> warm", "Line 1, column 7: Numbers are whole: write 1.5d in a smaller unit.\nage > 1.5d -> warm\n      ^")]
    [InlineData("age > -1d -> warm", "Line 1, column 7: Nothing is less than 0: expected a duration such as 30d, found -1d.\nage > -1d -> warm\n      ^")]
    [InlineData("age > 36501d -> warm", "Line 1, column 7: 36501d is too much: the most is 36500d.\nage > 36501d -> warm\n      ^")]
    [InlineData("age > \"x\" -> warm", "Line 1, column 7: Expected a duration such as 30d, found \"x\".\nage > \"x\" -> warm\n      ^")]
    [InlineData("age > warm -> warm", "Line 1, column 7: Expected a duration such as 30d, found warm.\nage > warm -> warm\n      ^")]
    [InlineData("age LIKE \"x\" -> warm", "Line 1, column 5: age has no patterns: expected <, <=, >, >=, ==, != or [NOT] IN.\nage LIKE \"x\" -> warm\n    ^")]
    [InlineData("size > 1ZB -> warm", "Line 1, column 8: There is no unit ZB of size: there are B, KB, MB, GB and TB (1KB is 1000B), and KiB, MiB, GiB and TiB (1KiB is 1024B).\nsize > 1ZB -> warm\n       ^")]
    [InlineData("size > 1001TB -> warm", "Line 1, column 8: 1001TB is too much: the most is 1000TB.\nsize > 1001TB -> warm\n       ^")]
    [InlineData("access_count > 3d -> warm", "Line 1, column 16: access_count is a plain number: expected 3, found 3d.\naccess_count > 3d -> warm\n               ^")]
    [InlineData("name > \"a\" -> warm", "Line 1, column 6: name is a text, and has no >: expected ==, !=, [NOT] IN or [NOT] LIKE.\nname > \"a\" -> warm\n     ^")]
    [InlineData("tag.project == x -> warm", "Line 1, column 16: Expected a text in quotation marks, found x: write \"x\".\ntag.project == x -> warm\n               ^")]
    [InlineData("tag. == \"x\" -> warm", "Line 1, column 1: A tag's name has 1 to 128 characters.\ntag. == \"x\" -> warm\n^")]
    [InlineData("noncurrent == true -> warm", "Line 1, column 12: noncurrent holds or does not: write noncurrent, or NOT noncurrent.\nnoncurrent == true -> warm\n           ^")]
    [InlineData("file_extension == log -> warm", "Line 1, column 19: A file extension begins with its dot: did you mean .log?\nfile_extension == log -> warm\n                  ^")]
    [InlineData("file_extension == .tar.gz -> warm", "Line 1, column 19: A file extension is the last dot of a name and what follows: that of a.tar.gz is .gz. For more, write name LIKE \"*.tar.gz\".\nfile_extension == .tar.gz -> warm\n                  ^")]
    [InlineData("storage_class == STANDART -> warm", "Line 1, column 18: There is no storage class STANDART: did you mean STANDARD?\nstorage_class == STANDART -> warm\n                 ^")]
    [InlineData("tier == Warm -> warm", "Line 1, column 9: A tier's name has 1 to 32 lower-case letters, digits and dashes.\ntier == Warm -> warm\n        ^")]
    [InlineData("age > 1d -> Warm", "Line 1, column 13: A tier's name has 1 to 32 lower-case letters, digits and dashes.\nage > 1d -> Warm\n            ^")]
    [InlineData("age > 1d ->", "Line 1, column 12: Expected the name of a tier, found the end of the text.\nage > 1d ->\n           ^")]
    [InlineData("age > 1d ->\nsize > 1 -> warm", "Line 1, column 12: Expected the name of a tier, found the end of the line.\nage > 1d ->\n           ^")]
    [InlineData("age > 1d\nsize > 1 -> warm", "Line 1, column 9: Expected AND, OR or ->, found the end of the line.\nage > 1d\n        ^")]
    [InlineData("age > 1d -> warm size > 1 -> cold", "Line 1, column 18: Expected the end of the rule: a new line or ;, found size.\nage > 1d -> warm size > 1 -> cold\n                 ^")]
    [InlineData("age > 1d ADN size > 1 -> warm", "Line 1, column 10: Expected AND, OR or ->, found ADN: did you mean AND?\nage > 1d ADN size > 1 -> warm\n         ^")]
    [InlineData("age > 1d && size > 1 -> warm", "Line 1, column 10: There is no && in a policy: did you mean AND?\nage > 1d && size > 1 -> warm\n         ^")]
    [InlineData("age = 1d -> warm", "Line 1, column 5: There is no = in a policy: did you mean ==?\nage = 1d -> warm\n    ^")]
    [InlineData("name == 'x' -> warm", "Line 1, column 9: There is no ' in a policy: did you mean \"?\nname == 'x' -> warm\n        ^")]
    [InlineData("age > 1d @ -> warm", "Line 1, column 10: There is no @ in a policy, but in quotation marks.\nage > 1d @ -> warm\n         ^")]
    [InlineData("(age > 1d -> warm", "Line 1, column 11: Expected AND, OR or ), found ->.\n(age > 1d -> warm\n          ^")]
    [InlineData("age > 1d) -> warm", "Line 1, column 9: Expected AND, OR or ->, found ).\nage > 1d) -> warm\n        ^")]
    [InlineData("file_extension IN (.log .txt) -> warm", "Line 1, column 25: Expected , or ), found .txt.\nfile_extension IN (.log .txt) -> warm\n                        ^")]
    [InlineData("file_extension IN () -> warm", "Line 1, column 20: Expected an extension such as .log, found ).\nfile_extension IN () -> warm\n                   ^")]
    [InlineData("file_extension IN .log -> warm", "Line 1, column 19: Expected a list in parentheses, of an extension such as .log, found .log.\nfile_extension IN .log -> warm\n                  ^")]
    [InlineData("name NOT \"x\" -> warm", "Line 1, column 10: Expected IN or LIKE, found \"x\".\nname NOT \"x\" -> warm\n         ^")]
    [InlineData("name == \"x -> warm", "Line 1, column 9: The text that begins here does not end on its line: expected a quotation mark.\nname == \"x -> warm\n        ^")]
    [InlineData("name == \"\\n\" -> warm", "Line 1, column 10: After a backslash comes \", another \\, or u{…} with the hexadecimal number of a character.\nname == \"\\n\" -> warm\n         ^")]
    [InlineData("AND age > 1d -> warm", "Line 1, column 1: Expected an attribute such as age, found AND.\nAND age > 1d -> warm\n^")]
    [InlineData("# nothing\n", "Line 2, column 1: There is no rule: expected one such as age > 30d -> warm.\n\n^")]
    [InlineData("", "Line 1, column 1: There is no rule: expected one such as age > 30d -> warm.\n\n^")]
    public void A_mistake_is_shown_where_it_is(string text, string message)
    {
        var refused = Assert.Throws<LifecyclePolicyFormatException>(() => LifecyclePolicy.Parse(text));
        Assert.Equal(message, refused.Message);
    }

    [Theory]
    [InlineData("name == \"äöü\" AND x > 1 -> warm", 19)]           // letters of one unit
    [InlineData("name == \"a\u0308o\u0308\" AND x > 1 -> warm", 18)] // letters with accents of their own
    [InlineData("name == \"👩‍👩‍👧‍👦\" AND x > 1 -> warm", 17)]             // a family of seven code points
    [InlineData("-> hot\r\n\tname == \"a\" AND x > 1 -> warm", 18)]
    public void The_caret_stands_under_what_a_reader_takes_for_a_character(string text, int column)
    {
        var refused = Assert.Throws<LifecyclePolicyFormatException>(() => LifecyclePolicy.Parse(text));
        Assert.Equal(column, refused.Place.Column);
        Assert.Equal('x', text[refused.Place.Offset]);
        var lines = refused.Message.Split('\n');
        Assert.Equal(column - 1, lines[^1].IndexOf('^'));
        Assert.Equal(text.Contains('\t'), lines[^1].StartsWith('\t'));
        Assert.DoesNotContain('\r', refused.Message);
    }

    [Fact]
    public void Of_a_long_line_only_what_is_around_the_place_is_shown()
    {
        var text = string.Concat(Enumerable.Repeat("age > 1d OR ", 100)) + "what > 3" + string.Concat(Enumerable.Repeat(" OR age > 1d", 100)) + " -> warm";
        var lines = Assert.Throws<LifecyclePolicyFormatException>(() => LifecyclePolicy.Parse(text)).Message.Split('\n');
        Assert.Equal("what", lines[1].Substring(lines[2].IndexOf('^'), 4));
        Assert.InRange(lines[1].Length, 50, 102);
        Assert.StartsWith("…", lines[1]);
        Assert.EndsWith("…", lines[1]);
    }

    [Fact]
    public void Nothing_that_could_confuse_a_terminal_is_shown()
    {
        foreach (var c in "\u0007\u001b\u009b\0\ud800\udc00")
        {
            foreach (var text in (string[])[$"{c} age > 1d -> warm", $"age > 1d {c}", $"name == \"{c}\" -> warm ?", $"name == \"{c}"])
            {
                var refused = Assert.Throws<LifecyclePolicyFormatException>(() => LifecyclePolicy.Parse(text));
                Assert.DoesNotContain(c, refused.Message);
            }
        }
    }

    public static TheoryData<string, string> Hostile => new()
    {
        { new string('(', 30_000), "at most 32 deep" },
        { string.Concat(Enumerable.Repeat("NOT ", 8_000)), "at most 32 deep" },
        { new string('(', 100_000), "at most 32768 characters" },
        { string.Join(" OR ", Enumerable.Repeat("age > 1d", 1_001)) + " -> warm", "at most 1000 comparisons" },
        { string.Concat(Enumerable.Repeat("-> warm;", 101)), "at most 100 rules" },
        { $"size IN ({string.Join(',', Enumerable.Range(0, 101))}) -> warm", "at most 100 values" },
        { $"name == \"{new string('ä', 513)}\" -> warm", "at most 1024 bytes" },
        { $"tag.\"{new string('a', 129)}\" == \"x\" -> warm", "1 to 128 characters" },
        { $"size > {new string('9', 30_000)} -> warm", "is too much" },
        { $"age > 1{new string('x', 30_000)} -> warm", "There is no unit" },
        { $"{new string('x', 30_000)} > 1 -> warm", "There is no attribute" },
        { $"age > 1d -> {new string('x', 33)}", "A tier's name" },
        { $"access_count_{new string('9', 1_000)}d > 1 -> warm", "1 to 90 days" },
    };

    [Theory, MemberData(nameof(Hostile))]
    public void What_is_past_a_limit_is_refused_in_a_short_sentence(string text, string sentence)
    {
        var refused = Assert.Throws<LifecyclePolicyFormatException>(() => LifecyclePolicy.Parse(text));
        Assert.Contains(sentence, refused.Message);
        Assert.InRange(refused.Message.Length, 1, 600);
    }

    [Fact]
    public void What_is_at_the_limits_is_read()
    {
        var deep = $"{new string('(', 32)}age > 1d{new string(')', 32)} -> warm";
        Assert.Equal("age > 1d -> warm\n", LifecyclePolicy.Parse(deep).ToString());
        Assert.Equal(100, LifecyclePolicy.Parse(string.Concat(Enumerable.Repeat("-> warm;", 100))).Rules.Length);
        LifecyclePolicy.Parse($"size IN ({string.Join(',', Enumerable.Range(0, 100))}) -> warm");
        LifecyclePolicy.Parse($"size <= 1000TB AND age < 36500d AND access_count < 1000000000000000 AND name == \"{new string('a', 1_024)}\" -> {new string('x', 32)}");
        var policy = LifecyclePolicy.Parse(string.Join(" OR ", Enumerable.Repeat("NOT (age > 1d)", 1_000)) + " -> warm");
        Assert.Equal(policy, LifecyclePolicy.Parse(policy.ToString()));
    }

    [Fact]
    public void The_tiers_that_a_policy_names_have_their_places()
    {
        var policy = LifecyclePolicy.Parse("# moves\ntier IN (hot, warm) AND age > 30d -> cold\n-> archive");
        Assert.Equal(["hot 1 False line 2, column 10", "warm 1 False line 2, column 15", "cold 1 True line 2, column 38", "archive 2 True line 3, column 4"],
            policy.Tiers.Select(t => $"{t.Tier} {t.Rule} {t.IsTarget} {t.Place}"));
        Assert.Equal("Line 3, column 4: There is no tier archive.\n-> archive\n   ^", policy.Refusal(policy.Tiers[3], "There is no tier archive.").Message);
    }

    [Theory, InlineData(1), InlineData(2), InlineData(3), InlineData(4)]
    public void Any_text_is_read_or_refused_and_nothing_else_is_thrown(int seed)
    {
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        string[] pieces = ["age", "access", "access_count", "access_count_7d", "size", "name", "tag.", "tag.x", "tier", "noncurrent", "file_extension", "storage_class", "AND", "or", "NOT", "IN", "LIKE", "(", ")", ",", ";", "\n", "->", "<", "<=",
            "==", "!=", ">", "\"x\"", "\"", "\\", "\\u{", "}", "30d", "1GB", "7", ".log", "-", "#", "warm", "\r\n", "\t", "é", "e\u0301", "😀", "\ud83d", "\0", "=", "\uFEFF", "–", "99999999999999999999d", "\u2028"];
        var (read, refused) = (0, 0);
        for (var i = 0; i < 5_000; i++)
        {
            var text = new StringBuilder();
            if (random.Next(3) == 0)
            {
                text.Append(LifecyclePolicy.Print(Enumerable.Range(0, random.Next(1, 3)).Select(_ => new LifecyclePolicyArbitrary(random).Rule().Rule)));
                for (var change = random.Next(3); change > 0; change--)
                {
                    var at = random.Next(text.Length);
                    if (random.Next(2) == 0) text.Remove(at, random.Next(Math.Min(4, text.Length - at)));
                    else text.Insert(at, random.Next(2) == 0 ? pieces[random.Next(pieces.Length)] : ((char)random.Next(0x10000)).ToString());
                }
            }
            else
            {
                for (var n = random.Next(1, 20); n > 0; n--) text.Append(pieces[random.Next(pieces.Length)]).Append(random.Next(3) > 0 ? " " : "");
            }
            try
            {
                var policy = LifecyclePolicy.Parse(text.ToString());
                Assert.Equal(policy, LifecyclePolicy.Parse(policy.ToString()));
                read++;
            }
            catch (LifecyclePolicyFormatException e)
            {
                Assert.InRange(e.Place.Offset, 0, text.Length);
                Assert.Equal(e.Place.Line, text.ToString()[..e.Place.Offset].Count(c => c == '\n') + 1);
                refused++;
            }
            catch (Exception e) when (e is not Xunit.Sdk.IAssertionException)
            {
                throw new InvalidOperationException($"Seed {seed}, text {i}: {text}", e);
            }
        }
        output.WriteLine($"{read} were read, {refused} were refused");
        Assert.True(read > 500 && refused > 500);
    }
}
