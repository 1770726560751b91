namespace DarkStorage.Conformance;

/// <summary>Settings that are checked and kept: each comes back as it was put.</summary>
public sealed class StoredSettingsTests(NodeFixture fixture)
{
    private const string Website = "<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument><ErrorDocument><Key>errors/404.html</Key></ErrorDocument><RoutingRules><RoutingRule>"
        + "<Condition><KeyPrefixEquals>docs/</KeyPrefixEquals><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals></Condition>"
        + "<Redirect><HostName>example.test</HostName><Protocol>https</Protocol><HttpRedirectCode>302</HttpRedirectCode><ReplaceKeyPrefixWith>documents/</ReplaceKeyPrefixWith></Redirect></RoutingRule></RoutingRules></WebsiteConfiguration>";

    private const string Redirect = "<WebsiteConfiguration><RedirectAllRequestsTo><HostName>example.test</HostName><Protocol>https</Protocol></RedirectAllRequestsTo></WebsiteConfiguration>";

    private const string Replication = "<ReplicationConfiguration><Role>arn:aws:iam::000000000000:role/copies</Role><Rule><ID>one</ID><Priority>1</Priority><Filter><Prefix>a &amp; b/</Prefix></Filter><Status>Enabled</Status>"
        + "<DeleteMarkerReplication><Status>Disabled</Status></DeleteMarkerReplication><Destination><Bucket>arn:aws:s3:::elsewhere</Bucket><StorageClass>STANDARD</StorageClass></Destination></Rule></ReplicationConfiguration>";

    private const string Accelerate = "<AccelerateConfiguration><Status>Suspended</Status></AccelerateConfiguration>";

    private const string Analytics = "<AnalyticsConfiguration><Id>ID</Id><Filter><And><Prefix>a/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter><StorageClassAnalysis><DataExport><OutputSchemaVersion>V_1</OutputSchemaVersion>"
        + "<Destination><S3BucketDestination><Format>CSV</Format><Bucket>arn:aws:s3:::elsewhere</Bucket></S3BucketDestination></Destination></DataExport></StorageClassAnalysis></AnalyticsConfiguration>";

    private const string Inventory = "<InventoryConfiguration><Id>ID</Id><IsEnabled>true</IsEnabled><IncludedObjectVersions>All</IncludedObjectVersions><Schedule><Frequency>Daily</Frequency></Schedule><OptionalFields><Field>Size</Field><Field>ETag</Field></OptionalFields>"
        + "<Destination><S3BucketDestination><Bucket>arn:aws:s3:::elsewhere</Bucket><Format>CSV</Format><Encryption><SSE-S3></SSE-S3></Encryption></S3BucketDestination></Destination></InventoryConfiguration>";

    private const string Metrics = "<MetricsConfiguration><Id>ID</Id><Filter><Prefix>a/</Prefix></Filter></MetricsConfiguration>";

    private const string Tiering = "<IntelligentTieringConfiguration><Id>ID</Id><Status>Enabled</Status><Tiering><AccessTier>ARCHIVE_ACCESS</AccessTier><Days>90</Days></Tiering></IntelligentTieringConfiguration>";

    private AmazonS3Client S3 => fixture.Client;

    private RawS3 Raw => fixture.Raw;

    [Theory]
    [InlineData("website", Website, "NoSuchWebsiteConfiguration")]
    [InlineData("website", Redirect, "NoSuchWebsiteConfiguration")]
    [InlineData("replication", Replication, "ReplicationConfigurationNotFoundError")]
    public async Task One_of_a_bucket_comes_back_and_goes(string name, string document, string missing)
    {
        var bucket = await NewBucketAsync();
        Assert.Equal((404, missing), (await Raw.GetAsync($"/{bucket}?{name}")).Error);
        Assert.Equal(200, (await Raw.PutAsync($"/{bucket}?{name}", document)).Status);
        Assert.Equal(Shape(document), Shape((await Raw.GetAsync($"/{bucket}?{name}")).Text));
        Assert.Equal(204, (await Raw.DeleteAsync($"/{bucket}?{name}")).Status);
        Assert.Equal((404, missing), (await Raw.GetAsync($"/{bucket}?{name}")).Error);
        Assert.Equal(204, (await Raw.DeleteAsync($"/{bucket}?{name}")).Status);
    }

    [Fact]
    public async Task Acceleration_is_empty_until_it_is_put()
    {
        var bucket = await NewBucketAsync();
        Assert.Empty((await Raw.GetAsync($"/{bucket}?accelerate")).Xml.Elements());
        Assert.Equal(200, (await Raw.PutAsync($"/{bucket}?accelerate", Accelerate)).Status);
        Assert.Equal("Suspended", (await S3.GetBucketAccelerateConfigurationAsync(bucket)).Status);
    }

    [Theory]
    [InlineData("analytics", Analytics, 200)]
    [InlineData("inventory", Inventory, 204)]
    [InlineData("metrics", Metrics, 204)]
    [InlineData("intelligent-tiering", Tiering, 200)]
    public async Task Many_with_ids_come_back_are_listed_and_go(string name, string document, int put)
    {
        var bucket = await NewBucketAsync();
        Assert.Equal((404, "NoSuchConfiguration"), (await Raw.GetAsync($"/{bucket}?{name}&id=one")).Error);
        Assert.Equal((404, "NoSuchConfiguration"), (await Raw.DeleteAsync($"/{bucket}?{name}&id=one")).Error);
        var empty = await Raw.GetAsync($"/{bucket}?{name}");
        Assert.Equal((200, "false"), (empty.Status, empty.Element("IsTruncated")));
        foreach (var id in (string[])["two", "one", "two"]) Assert.Equal(put, (await Raw.PutAsync($"/{bucket}?{name}&id={id}", WithId(document, id))).Status);
        Assert.Equal(Shape(WithId(document, "two")), Shape((await Raw.GetAsync($"/{bucket}?{name}&id=two")).Text));
        Assert.Equal(["one", "two"], (await Raw.GetAsync($"/{bucket}?{name}")).Elements("Id"));
        Assert.Equal((400, "InvalidArgument"), (await Raw.PutAsync($"/{bucket}?{name}&id=three", WithId(document, "four"))).Error);
        Assert.Equal(400, (await Raw.PutAsync($"/{bucket}?{name}", WithId(document, "four"))).Status);
        Assert.Equal((400, "MalformedXML"), (await Raw.PutAsync($"/{bucket}?{name}&id=three", "<Other/>")).Error);
        Assert.Equal((400, "MalformedXML"), (await Raw.PutAsync($"/{bucket}?{name}&id=three", WithId(document, "three").Replace("</Id>", "</Id><Extra/>", StringComparison.Ordinal))).Error);
        Assert.Equal(204, (await Raw.DeleteAsync($"/{bucket}?{name}&id=one")).Status);
        Assert.Equal(["two"], (await Raw.GetAsync($"/{bucket}?{name}")).Elements("Id"));
    }

    [Fact]
    public async Task A_list_of_more_than_a_hundred_comes_in_pages()
    {
        var bucket = await NewBucketAsync();
        var ids = Enumerable.Range(0, 130).Select(i => $"id-{i:000}").ToList();
        foreach (var id in ids) Assert.Equal(204, (await Raw.PutAsync($"/{bucket}?metrics&id={id}", WithId(Metrics, id))).Status);
        // Of another kind, and not in this list.
        Assert.Equal(200, (await Raw.PutAsync($"/{bucket}?intelligent-tiering&id=id-050", WithId(Tiering, "id-050"))).Status);
        Assert.Equal(100, (await S3.ListBucketMetricsConfigurationsAsync(new() { BucketName = bucket })).MetricsConfigurationList.Count);
        var first = await Raw.GetAsync($"/{bucket}?metrics");
        var token = first.Element("NextContinuationToken")!;
        var second = await Raw.GetAsync($"/{bucket}?metrics&continuation-token={Uri.EscapeDataString(token)}");
        Assert.Equal(("true", "false", token, null), (first.Element("IsTruncated"), second.Element("IsTruncated"), second.Element("ContinuationToken"), second.Element("NextContinuationToken")));
        Assert.Equal(ids[..100], first.Elements("Id"));
        Assert.Equal(ids[100..], second.Elements("Id"));
        Assert.Equal(204, (await Raw.DeleteAsync($"/{bucket}?metrics&id=id-129")).Status);
        var cli = await new AwsCli(fixture.Node).S3ApiAsync("list-bucket-metrics-configurations", "--bucket", bucket);
        Assert.True((bool)cli["IsTruncated"]!);
        Assert.Equal((400, "InvalidArgument"), (await Raw.GetAsync($"/{bucket}?metrics&continuation-token=%21nonsense")).Error);
        Assert.Equal(200, (await Raw.GetAsync($"/{bucket}?metrics&id=id-128")).Status);
    }

    [Fact]
    public async Task The_CLI_puts_and_gets_a_website_and_an_inventory()
    {
        var bucket = await NewBucketAsync();
        var aws = new AwsCli(fixture.Node);
        await aws.S3ApiAsync("put-bucket-website", "--bucket", bucket, "--website-configuration", """{"IndexDocument":{"Suffix":"index.html"}}""");
        Assert.Equal("index.html", (string?)(await aws.S3ApiAsync("get-bucket-website", "--bucket", bucket))["IndexDocument"]!["Suffix"]);
        await aws.S3ApiAsync("put-bucket-inventory-configuration", "--bucket", bucket, "--id", "daily", "--inventory-configuration",
            """{"Id":"daily","IsEnabled":true,"IncludedObjectVersions":"Current","Schedule":{"Frequency":"Weekly"},"Destination":{"S3BucketDestination":{"Bucket":"arn:aws:s3:::elsewhere","Format":"Parquet"}}}""");
        var got = (await aws.S3ApiAsync("get-bucket-inventory-configuration", "--bucket", bucket, "--id", "daily"))["InventoryConfiguration"]!;
        Assert.Equal(("Weekly", true), ((string?)got["Schedule"]!["Frequency"], (bool)got["IsEnabled"]!));
    }

    [Fact]
    public async Task Replication_wants_versioning_and_rules_that_do_not_clash()
    {
        var plain = await S3.NewBucketAsync();
        Assert.Equal((400, "InvalidRequest"), (await Raw.PutAsync($"/{plain}?replication", Replication)).Error);
        var bucket = await NewBucketAsync();
        const string rule = "<Rule><ID>ID</ID><Priority>PRIORITY</Priority><Filter/><Status>Enabled</Status><DeleteMarkerReplication/><Destination><Bucket>arn:aws:s3:::elsewhere</Bucket></Destination></Rule>";
        string Rule(string id, int priority) => rule.Replace("ID<", $"{id}<", StringComparison.Ordinal).Replace("PRIORITY", $"{priority}", StringComparison.Ordinal);
        Assert.Equal((400, "InvalidArgument"), (await Raw.PutAsync($"/{bucket}?replication", $"<ReplicationConfiguration><Role>r</Role>{Rule("a", 1)}{Rule("a", 2)}</ReplicationConfiguration>")).Error);
        Assert.Equal((400, "InvalidRequest"), (await Raw.PutAsync($"/{bucket}?replication", $"<ReplicationConfiguration><Role>r</Role>{Rule("a", 1)}{Rule("b", 1)}</ReplicationConfiguration>")).Error);
        Assert.Equal((404, "ReplicationConfigurationNotFoundError"), (await Raw.GetAsync($"/{bucket}?replication")).Error);
        Assert.Equal(200, (await Raw.PutAsync($"/{bucket}?replication", $"<ReplicationConfiguration><Role>r</Role>{Rule("a", 1)}{Rule("b", 2)}</ReplicationConfiguration>")).Status);
    }

    [Theory]
    [InlineData("website", "<WebsiteConfiguration/>", "MalformedXML")]
    [InlineData("website", "<WebsiteConfiguration><IndexDocument><Suffix>a/b</Suffix></IndexDocument></WebsiteConfiguration>", "InvalidArgument")]
    [InlineData("website", "<WebsiteConfiguration><IndexDocument><Suffix>i</Suffix></IndexDocument><RedirectAllRequestsTo><HostName>h</HostName></RedirectAllRequestsTo></WebsiteConfiguration>", "MalformedXML")]
    [InlineData("website", "<WebsiteConfiguration><RedirectAllRequestsTo><HostName>a&#13;b</HostName></RedirectAllRequestsTo></WebsiteConfiguration>", "InvalidArgument")]
    [InlineData("website", "<WebsiteConfiguration><RedirectAllRequestsTo><HostName>h</HostName><Protocol>ftp</Protocol></RedirectAllRequestsTo></WebsiteConfiguration>", "InvalidRequest")]
    [InlineData("website", "<WebsiteConfiguration><IndexDocument><Suffix>i</Suffix></IndexDocument><RoutingRules><RoutingRule><Redirect/></RoutingRule></RoutingRules></WebsiteConfiguration>", "MalformedXML")]
    [InlineData("replication", "<ReplicationConfiguration><Role>r</Role></ReplicationConfiguration>", "MalformedXML")]
    [InlineData("replication", "<ReplicationConfiguration><Role>r</Role><Rule><Status>On</Status><Destination><Bucket>arn:aws:s3:::b</Bucket></Destination></Rule></ReplicationConfiguration>", "MalformedXML")]
    [InlineData("replication", "<ReplicationConfiguration><Role>r</Role><Rule><Status>Enabled</Status><Destination><Bucket>b</Bucket></Destination></Rule></ReplicationConfiguration>", "MalformedXML")]
    [InlineData("accelerate", "<AccelerateConfiguration/>", "MalformedXML")]
    [InlineData("accelerate", "<AccelerateConfiguration><Status>enabled</Status></AccelerateConfiguration>", "MalformedXML")]
    [InlineData("accelerate", "", "MissingRequestBodyError")]
    [InlineData("analytics&id=a", "<AnalyticsConfiguration><Id>a</Id></AnalyticsConfiguration>", "MalformedXML")]
    [InlineData("inventory&id=a", "<InventoryConfiguration><Id>a</Id><IsEnabled>yes</IsEnabled></InventoryConfiguration>", "MalformedXML")]
    [InlineData("intelligent-tiering&id=a", "<IntelligentTieringConfiguration><Id>a</Id><Status>Enabled</Status><Tiering><AccessTier>ARCHIVE_ACCESS</AccessTier><Days>89</Days></Tiering></IntelligentTieringConfiguration>", "MalformedXML")]
    [InlineData("metrics&id=a", "<MetricsConfiguration><Id>a</Id><Filter><Tag><Key>k</Key></Tag></Filter></MetricsConfiguration>", "MalformedXML")]
    public async Task A_wrong_document_is_refused_and_keeps_nothing(string name, string document, string code)
    {
        var bucket = await NewBucketAsync();
        Assert.Equal((400, code), (await Raw.PutAsync($"/{bucket}?{name}", document)).Error);
        var got = await Raw.GetAsync($"/{bucket}?{name}");
        Assert.True(got.Status == 404 || !got.Xml.HasElements, $"{got}");
    }

    [Fact]
    public async Task Others_neither_see_nor_change_settings_and_these_outlive_the_node()
    {
        await using var node = await NodeProcess.StartAsync();
        using var s3 = node.S3();
        var bucket = await s3.NewBucketAsync();
        var (root, other) = (node.Raw(), node.Raw(await node.NewUserAsync()));
        Assert.Equal(200, (await root.PutAsync($"/{bucket}?website", Website)).Status);
        Assert.Equal(204, (await root.PutAsync($"/{bucket}?metrics&id=a", WithId(Metrics, "a"))).Status);
        foreach (var name in (string[])["website", "metrics&id=a", "metrics", "analytics", "inventory", "intelligent-tiering", "replication", "accelerate", "cors", "tagging", "requestPayment", "policy", "policyStatus", "publicAccessBlock", "ownershipControls", "object-lock", "acl", "versioning"])
        {
            Assert.Equal((403, "AccessDenied"), (await other.GetAsync($"/{bucket}?{name}")).Error);
            if (name is "policyStatus" or "metrics" or "analytics" or "inventory" or "intelligent-tiering") continue;
            Assert.Equal((403, "AccessDenied"), (await other.PutAsync($"/{bucket}?{name}", Website)).Error);
            if (name is "object-lock" or "acl" or "versioning" or "requestPayment" or "accelerate") continue;
            Assert.Equal((403, "AccessDenied"), (await other.DeleteAsync($"/{bucket}?{name}")).Error);
        }
        await node.RestartAsync();
        Assert.Equal(Shape(Website), Shape((await root.GetAsync($"/{bucket}?website")).Text));
        Assert.Equal(["a"], (await root.GetAsync($"/{bucket}?metrics")).Elements("Id"));
    }

    private async Task<string> NewBucketAsync()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutBucketVersioningAsync(new() { BucketName = bucket, VersioningConfig = new() { Status = VersionStatus.Enabled } });
        return bucket;
    }

    private static string WithId(string document, string id) => document.Replace("<Id>ID</Id>", $"<Id>{id}</Id>", StringComparison.Ordinal);

    /// <summary>Names and texts, without namespaces and white space.</summary>
    private static string Shape(string document)
    {
        static string Of(System.Xml.Linq.XElement element) => element.HasElements ? $"{element.Name.LocalName}({string.Join(',', element.Elements().Select(Of))})" : $"{element.Name.LocalName}={element.Value}";
        return Of(System.Xml.Linq.XElement.Parse(document));
    }
}
