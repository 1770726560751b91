using DarkStorage.Rules.Website;
using Xunit;

namespace DarkStorage.Unit.Website;

/// <summary>What a website does with a request.</summary>
public sealed class WebsiteRulesTests
{
    private static WebsiteConfiguration Site(params RoutingRule[] rules) => new("index.html", "error.html", null, [.. rules]);

    private static RedirectTarget To(string? host = null, string? protocol = null, int? status = null, string? keyPrefix = null, string? key = null) => new(host, protocol, status, keyPrefix, key);

    [Theory]
    [InlineData("", "index.html", null)]
    [InlineData("a", "a", "a/index.html")]
    [InlineData("a/", "a/index.html", null)]
    [InlineData("a//", "a//index.html", null)]
    [InlineData("/", "/index.html", null)]
    [InlineData("a/b.html", "a/b.html", "a/b.html/index.html")]
    [InlineData("a/../b", "a/../b", "a/../b/index.html")]
    public void A_path_stands_for_an_object_or_the_index_of_a_folder(string path, string key, string? folderIndex)
    {
        Assert.Null(Site().Before(path));
        Assert.Equal((key, folderIndex), (Site().KeyOf(path), Site().FolderIndexOf(path)));
    }

    [Theory]
    [InlineData("", "http://other.test/")]
    [InlineData("a b/ü?", "http://other.test/a%20b/%C3%BC%3F")]
    public void Everything_is_redirected_where_everything_is(string key, string location)
    {
        var site = new WebsiteConfiguration(null, null, To("other.test"), []);
        var redirect = site.Before(key)!;
        Assert.Equal((301, location), (redirect.Status, redirect.Location("http", "site.test")));
        Assert.StartsWith("https://", (site with { RedirectAll = To("other.test", "https") }).Before(key)!.Location("http", "site.test"), StringComparison.Ordinal);
    }

    public static TheoryData<RoutingRule, string, int?, string?> Rules => new()
    {
        // By prefix, before anything is looked for
        { new("docs/", null, To(keyPrefix: "documents/")), "docs/a", null, "301 /documents/a" },
        { new("docs/", null, To(keyPrefix: "")), "docs/a", null, "301 /a" },
        { new("docs/", null, To(keyPrefix: "documents/")), "docs", null, null },
        { new("docs/", null, To(keyPrefix: "documents/")), "a/docs/", null, null },
        { new("docs/", null, To(keyPrefix: "documents/")), "docs/a", 404, null },
        { new("a", null, To(key: "b", status: 307)), "abc", null, "307 /b" },
        { new(null, null, To(keyPrefix: "new/")), "a", null, "301 /new/a" },
        { new("", null, To(host: "other.test")), "a", null, "301 http://other.test/a" },
        { new("a", null, To(protocol: "https")), "a", null, "301 https://site.test:9000/a" },
        { new("a", null, To(host: "other.test:8080", protocol: "https", status: 302, key: "x y")), "a", null, "302 https://other.test:8080/x%20y" },
        { new("DOCS/", null, To(key: "x")), "docs/", null, null },
        // By error, after it was
        { new(null, 404, To(key: "gone.html")), "a", 404, "301 /gone.html" },
        { new(null, 404, To(key: "gone.html")), "a", 403, null },
        { new(null, 404, To(key: "gone.html")), "a", null, null },
        // By both
        { new("a/", 403, To(host: "other.test", keyPrefix: "report-404/")), "a/b", 403, "301 http://other.test/report-404/b" },
        { new("a/", 403, To(host: "other.test")), "b/", 403, null },
        // Nobody is sent to a host that whoever made the link has chosen
        { new("x", null, To(keyPrefix: "")), "x//evil.test", null, "301 /%2F/evil.test" },
        { new("x", null, To(keyPrefix: "")), "x/\\evil.test", null, "301 /%2F%5Cevil.test" },
        { new("x", null, To(host: "other.test", keyPrefix: "")), "x@evil.test", null, "301 http://other.test/%40evil.test" },
        { new("x", null, To(status: 302, keyPrefix: "")), "x\r\nSet-Cookie: a", null, "302 /%0D%0ASet-Cookie%3A%20a" },
    };

    [Theory, MemberData(nameof(Rules))]
    public void A_rule_redirects_what_its_conditions_name(RoutingRule rule, string key, int? status, string? expected)
    {
        var redirect = status is { } failed ? Site(rule).After(key, failed) : Site(rule).Before(key);
        Assert.Equal(expected, redirect is null ? null : $"{redirect.Status} {redirect.Location("http", "site.test:9000")}");
    }

    [Fact]
    public void The_first_rule_that_fits_counts()
    {
        var site = Site(new("a/b", null, To(key: "first")), new("a", null, To(key: "second")), new("a/b", null, To(key: "third")));
        Assert.Equal(["first", "second"], ((string[])["a/b/c", "a/c"]).Select(k => site.Before(k)!.Key));
    }

    [Theory]
    [InlineData(400, "error.html")]
    [InlineData(404, "error.html")]
    [InlineData(499, "error.html")]
    [InlineData(500, null)]
    [InlineData(503, null)]
    [InlineData(304, null)]
    public void The_error_document_is_for_faults_of_the_request(int status, string? key) => Assert.Equal(key, Site().ErrorKeyOf(status));

    [Fact]
    public void A_folder_is_redirected_to_within_the_site()
    {
        var redirect = WebsiteRules.ToFolder("a b");
        Assert.Equal((302, "/a%20b/"), (redirect.Status, redirect.Location("https", "site.test")));
        Assert.Equal("/%2Fevil.test/", WebsiteRules.ToFolder("/evil.test").Location("https", "site.test"));
    }

    [Theory]
    [InlineData("photos.web.example.test", "photos")]
    [InlineData("photos.web.example.test:9000", "photos")]
    [InlineData("PHOTOS.Web.Example.test", "photos")]
    [InlineData("a.b.web.example.test", "a.b")]
    [InlineData("web.example.test", "web.example.test")]
    [InlineData("WWW.custom.test:80", "www.custom.test")]
    [InlineData("custom.test", null)]
    [InlineData("notweb.example.test", null)]
    [InlineData(".web.example.test", null)]
    [InlineData("web.example.test.evil.test", null)]
    [InlineData("127.0.0.1:9000", null)]
    [InlineData("[::1]:9000", null)]
    [InlineData("", null)]
    [InlineData(null, null)]
    public void Only_hosts_of_the_configured_domains_are_sites(string? host, string? bucket)
    {
        Assert.Equal(bucket, ClientApi.S3.Website.BucketOf(host, ["web.example.test", "www.custom.test"]));
        Assert.Null(ClientApi.S3.Website.BucketOf(host, []));
    }
}
