using DarkStorage.Metadata.Postgres;
using Xunit;

namespace DarkStorage.Unit.Metadata;

public sealed class PostgresUrlTests
{
    [Theory]
    [InlineData("postgres://me:secret@db:6000/index", "db:6000", "me", "secret", "index")]
    [InlineData("postgresql://db/index", "db:5432", null, null, "index")]
    [InlineData("postgres://me@a,b:6001,[::1]:6002/index", "a:5432,b:6001,[::1]:6002", "me", null, "index")]
    [InlineData("postgres://m%40e:p%3A%2F%40ss@db/in%20dex", "db:5432", "m@e", "p:/@ss", "in dex")]
    public void A_url_is_read_as_libpq_reads_it(string text, string hosts, string? user, string? password, string database)
    {
        var settings = PostgresUrl.Parse(text).Settings;
        Assert.Equal((hosts, user, password, database), (settings.Host, settings.Username, settings.Password, settings.Database));
    }

    [Fact]
    public void How_the_connection_is_secured_is_in_the_query()
    {
        var settings = PostgresUrl.Parse("postgres://db/index?sslmode=verify-full&sslrootcert=%2Fca.pem").Settings;
        Assert.Equal((Npgsql.SslMode.VerifyFull, "/ca.pem"), (settings.SslMode, settings.RootCertificate));
    }

    [Theory]
    [InlineData("postgres://db/index", null)]
    [InlineData("postgres://a,b/index", "read-write")]
    public void Of_several_hosts_others_are_told_to_take_the_one_that_takes_writes(string text, string? wanted) =>
        Assert.Equal(wanted, new Npgsql.NpgsqlConnectionStringBuilder(PostgresUrl.Parse(text).ConnectionString).TargetSessionAttributes);

    [Theory]
    [InlineData("mysql://db/index", "postgres://")]
    [InlineData("postgres://db", "no database")]
    [InlineData("postgres://db/", "no database")]
    [InlineData("postgres:///index", "HOST:PORT")]
    [InlineData("postgres://u:geheim@db:0/index", "HOST:PORT")]
    [InlineData("postgres://u:geheim@db:70000/index", "HOST:PORT")]
    [InlineData("postgres://u:geheim@db:x/index", "HOST:PORT")]
    [InlineData("postgres://u:geheim@db/index?sslmode=maybe", "sslmode")]
    [InlineData("postgres://u:geheim@db/index?pooling=false", "pooling")]
    public void What_is_wrong_is_said_without_the_password(string text, string said)
    {
        var refusal = Assert.Throws<FormatException>(() => PostgresUrl.Parse(text));
        Assert.Contains(said, refusal.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("geheim", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void As_text_it_has_no_password() => Assert.DoesNotContain("geheim", PostgresUrl.Parse("postgres://u:geheim@db/index").ToString(), StringComparison.Ordinal);
}
