using DarkStorage.Rules;
using DarkStorage.Rules.Acls;
using DarkStorage.Rules.Policies;
using Xunit;

namespace DarkStorage.Unit.Policies;

public sealed class PublicPolicyTests
{
    /// <summary>Principal and Condition of a statement that allows, and whether that is public.</summary>
    public static TheoryData<string, string, bool> Statements => new()
    {
        { "\"Principal\": \"*\"", "{}", true },
        { "\"Principal\": {\"AWS\": \"*\"}", "{}", true },
        { "\"Principal\": {\"AWS\": [\"123456789012\", \"*\"]}", "{}", true },
        { "\"Principal\": {\"AWS\": \"123456789012\"}", "{}", false },
        { "\"Principal\": {\"AWS\": \"arn:aws:iam:::user/alice\"}", "{}", false },
        { "\"Principal\": {\"CanonicalUser\": \"id-alice\"}", "{}", false },
        { "\"Principal\": {\"Service\": \"logging.s3.amazonaws.com\"}", "{}", false },
        { "\"NotPrincipal\": {\"AWS\": \"123456789012\"}", "{}", true },

        { "\"Principal\": \"*\"", """{"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}""", false },
        { "\"Principal\": \"*\"", """{"IpAddress": {"aws:SourceIp": "44.0.0.0/8"}}""", false },
        { "\"Principal\": \"*\"", """{"IpAddress": {"aws:SourceIp": "44.0.0.0/7"}}""", true },
        { "\"Principal\": \"*\"", """{"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}""", true },
        { "\"Principal\": \"*\"", """{"IpAddress": {"aws:SourceIp": "0.0.0.0/1"}}""", true },
        { "\"Principal\": \"*\"", """{"IpAddress": {"aws:SourceIp": ["192.0.2.0/24", "0.0.0.0/0"]}}""", true },
        { "\"Principal\": \"*\"", """{"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]}}""", false },
        { "\"Principal\": \"*\"", """{"IpAddress": {"aws:SourceIp": "2001:db8::/32"}}""", false },
        { "\"Principal\": \"*\"", """{"IpAddress": {"aws:SourceIp": "2001::/31"}}""", true },
        { "\"Principal\": \"*\"", """{"NotIpAddress": {"aws:SourceIp": "192.0.2.0/24"}}""", true },
        { "\"Principal\": \"*\"", """{"IpAddressIfExists": {"aws:SourceIp": "192.0.2.0/24"}}""", true },
        { "\"Principal\": \"*\"", """{"ForAllValues:IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}""", true },
        { "\"Principal\": \"*\"", """{"ForAnyValue:IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}""", false },
        { "\"Principal\": \"*\"", """{"IpAddress": {"aws:VpcSourceIp": "192.0.2.0/24"}}""", true },

        { "\"Principal\": \"*\"", """{"StringEquals": {"aws:SourceVpc": "vpc-1"}}""", false },
        { "\"Principal\": \"*\"", """{"StringEquals": {"aws:SourceVpce": ["a", "b"]}}""", false },
        { "\"Principal\": \"*\"", """{"StringNotEquals": {"aws:SourceVpc": "vpc-1"}}""", true },
        { "\"Principal\": \"*\"", """{"StringEqualsIfExists": {"aws:SourceVpc": "vpc-1"}}""", true },
        { "\"Principal\": \"*\"", """{"StringLike": {"aws:SourceVpc": "vpc-*"}}""", true },
        { "\"Principal\": \"*\"", """{"StringLike": {"aws:SourceVpc": "vpc-1"}}""", false },
        { "\"Principal\": \"*\"", """{"StringEquals": {"aws:PrincipalOrgID": "o-1"}}""", false },
        { "\"Principal\": \"*\"", """{"StringEquals": {"aws:userid": "AIDA1"}}""", false },
        { "\"Principal\": \"*\"", """{"StringLike": {"aws:userid": "AROA1:*"}}""", true },
        { "\"Principal\": \"*\"", """{"StringEquals": {"aws:userid": "${aws:username}"}}""", true },
        { "\"Principal\": \"*\"", """{"ArnEquals": {"aws:SourceArn": "arn:aws:sns:eu:1:topic"}}""", false },
        { "\"Principal\": \"*\"", """{"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:*:*"}}""", true },
        { "\"Principal\": \"*\"", """{"StringEquals": {"aws:SourceAccount": "123456789012"}}""", false },
        { "\"Principal\": \"*\"", """{"StringEquals": {"s3:x-amz-server-side-encryption-aws-kms-key-id": "key"}}""", false },
        { "\"Principal\": \"*\"", """{"StringEquals": {"s3:x-amz-server-side-encryption": "AES256"}}""", true },
        { "\"Principal\": \"*\"", """{"StringLike": {"aws:Referer": "https://example.org/*"}}""", true },
        { "\"Principal\": \"*\"", """{"Bool": {"aws:SecureTransport": "true"}}""", true },
        { "\"Principal\": \"*\"", """{"Null": {"aws:SourceVpc": "false"}}""", true },
    };

    [Theory, MemberData(nameof(Statements))]
    public void A_statement_that_allows_is_public_or_not(string principal, string condition, bool isPublic)
    {
        var allow = $$"""{"Effect": "Allow", {{principal}}, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::photos/*", "Condition": {{condition}}}""";
        var policy = BucketPolicy.Parse("photos", CaseFile.Document("2012-10-17", [allow]));
        Assert.Equal(isPublic, policy.IsPublic);
        Assert.False(BucketPolicy.Parse("photos", CaseFile.Document("2012-10-17", [allow.Replace("\"Allow\"", "\"Deny\"")])).IsPublic);
        Assert.Equal(isPublic, PublicAccessBlock.All.Refuses(policy));
        Assert.False(PublicAccessBlock.None.Refuses(policy));
    }

    [Theory]
    [InlineData("private", false), InlineData("public-read", true), InlineData("public-read-write", true), InlineData("authenticated-read", true)]
    [InlineData("aws-exec-read", false), InlineData("bucket-owner-read", false), InlineData("bucket-owner-full-control", false), InlineData("log-delivery-write", false)]
    public void A_canned_list_is_public_or_not(string name, bool isPublic)
    {
        var acl = AccessControlList.Canned(name, "owner", "bucket-owner")!;
        Assert.Equal(isPublic, acl.IsPublic);
        Assert.Equal(isPublic, PublicAccessBlock.All.Refuses(acl));
        Assert.False(PublicAccessBlock.None.Refuses(acl));
        Assert.Contains(new Grant(Grantee.User("owner"), AclPermission.FullControl), acl.Grants);
    }

    [Fact]
    public void A_canned_list_has_the_grants_that_AWS_gives_it()
    {
        Assert.Null(AccessControlList.Canned("public", "o", null));
        Assert.Equal([new(Grantee.User("o"), AclPermission.FullControl)], AccessControlList.Canned("bucket-owner-read", "o", "o")!.Grants);
        Assert.Equal([new(Grantee.User("o"), AclPermission.FullControl), new(Grantee.User("b"), AclPermission.Read)], AccessControlList.Canned("bucket-owner-read", "o", "b")!.Grants);
        Assert.Equal([new(Grantee.User("o"), AclPermission.FullControl), new(Grantee.User("b"), AclPermission.FullControl)],
            AccessControlList.Canned("bucket-owner-full-control", "o", "b")!.Grants);
        Assert.Equal([new(Grantee.User("o"), AclPermission.FullControl), new(Grantee.LogDelivery, AclPermission.Write), new(Grantee.LogDelivery, AclPermission.ReadAcp)],
            AccessControlList.Canned("log-delivery-write", "o", null)!.Grants);
    }

    [Fact]
    public void A_list_has_at_most_100_grants()
    {
        var grants = Enumerable.Range(0, 101).Select(i => new Grant(Grantee.User($"u{i}"), AclPermission.Read)).ToList();
        Assert.Throws<AclFormatException>(() => new AccessControlList("o", grants));
        Assert.True(new AccessControlList("o", grants[..100]).PermitsOnBucket("s3:ListBucket", "u99", isAuthenticated: true));
    }

    [Fact]
    public void A_grant_to_a_user_is_for_one_who_signs()
    {
        var acl = new AccessControlList("o", [new(Grantee.User(""), AclPermission.FullControl), new(Grantee.User("u"), AclPermission.FullControl)]);
        Assert.False(acl.PermitsOnObject("s3:GetObject", "", isAuthenticated: false));
        Assert.False(acl.PermitsOnObject("s3:GetObject", "u", isAuthenticated: false));
        Assert.True(acl.PermitsOnObject("s3:GetObject", "u", isAuthenticated: true));
        Assert.False(acl.PermitsOnBucket("s3:GetObject", "u", isAuthenticated: true));
        Assert.False(acl.PermitsOnObject("s3:ListBucket", "u", isAuthenticated: true));
    }

    [Fact]
    public void A_group_goes_by_its_uri()
    {
        foreach (var group in new[] { Grantee.AllUsers, Grantee.AuthenticatedUsers, Grantee.LogDelivery }) Assert.Equal(group, Grantee.FromUri(group.Uri!));
        Assert.Null(Grantee.FromUri("http://acs.amazonaws.com/groups/global/Nobody"));
        Assert.Null(Grantee.User("u").Uri);
    }
}
