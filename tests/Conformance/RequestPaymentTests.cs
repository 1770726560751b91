namespace DarkStorage.Conformance;

/// <summary>Request payment: nobody is billed, but who would be must say that they know.</summary>
public sealed class RequestPaymentTests(NodeFixture fixture)
{
    private NodeProcess Node => fixture.Node;

    private AmazonS3Client S3 => fixture.Client;

    [Fact]
    public async Task The_setting_is_the_owners_until_it_is_put()
    {
        var bucket = await S3.NewBucketAsync();
        Assert.Equal("BucketOwner", (await S3.GetBucketRequestPaymentAsync(new GetBucketRequestPaymentRequest { BucketName = bucket })).Payer);
        var aws = new AwsCli(Node);
        await aws.S3ApiAsync("put-bucket-request-payment", "--bucket", bucket, "--request-payment-configuration", "Payer=Requester");
        Assert.Equal("Requester", (string?)(await aws.S3ApiAsync("get-bucket-request-payment", "--bucket", bucket))["Payer"]);
    }

    [Fact]
    public async Task Requesters_who_pay_say_so_or_are_denied()
    {
        using var owner = Node.S3(await Node.NewUserAsync());
        var bucket = await owner.NewBucketAsync();
        await owner.PutTextAsync(bucket, "key", "content");
        await owner.PutBucketPolicyAsync(bucket, $$"""{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::{{bucket}}/*"}]}""");
        await owner.PutBucketRequestPaymentAsync(new() { BucketName = bucket, RequestPaymentConfiguration = new() { Payer = "Requester" } });
        var raw = Node.Raw(await Node.NewUserAsync());
        Assert.Equal((403, "AccessDenied"), (await raw.GetAsync($"/{bucket}/key")).Error);
        Assert.Equal((403, "AccessDenied"), (await raw.PutAsync($"/{bucket}/new", "x")).Error);
        Assert.Equal((403, "AccessDenied"), (await raw.SendAsync(new RawRequest("GET", $"/{bucket}/key").With("x-amz-request-payer", "owner"))).Error);
        var paid = await raw.SendAsync(new RawRequest("GET", $"/{bucket}/key").With("x-amz-request-payer", "requester"));
        Assert.Equal(("content", "requester"), (paid.Text, paid.Header("x-amz-request-charged")));
        Assert.Equal(200, (await raw.GetAsync($"/{bucket}/key?x-amz-request-payer=requester")).Status);
        Assert.Equal(403, (await Node.AnonymousAsync("GET", $"/{bucket}/key", "", ("x-amz-request-payer", "requester"))).Status);
        Assert.Equal("content", await owner.GetTextAsync(bucket, "key"));
        Assert.Null((await fixture.Raw.GetAsync($"/{bucket}/key")).Header("x-amz-request-charged"));
    }

    [Theory]
    [InlineData("", "MissingRequestBodyError")]
    [InlineData("<RequestPaymentConfiguration/>", "MalformedXML")]
    [InlineData("<RequestPaymentConfiguration><Payer>Nobody</Payer></RequestPaymentConfiguration>", "MalformedXML")]
    [InlineData("<RequestPaymentConfiguration><Payer>Requester</Payer><Payer>Requester</Payer></RequestPaymentConfiguration>", "MalformedXML")]
    public async Task A_wrong_document_is_refused_and_changes_nothing(string document, string code)
    {
        var bucket = await S3.NewBucketAsync();
        Assert.Equal((400, code), (await fixture.Raw.PutAsync($"/{bucket}?requestPayment", document)).Error);
        Assert.Equal("BucketOwner", (await fixture.Raw.GetAsync($"/{bucket}?requestPayment")).Element("Payer"));
    }
}
