namespace DarkStorage.Conformance;

/// <summary>What is not there says so by its name, and never passes for something else.</summary>
public sealed class NotImplementedTests(NodeFixture node)
{
    /// <summary>S3's operations that the node does not have, as requests. Whoever builds one takes it out here.</summary>
    public static TheoryData<string, string, string> Operations
    {
        get
        {
            var data = new TheoryData<string, string, string>();
            foreach (var line in List.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
            {
                var words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
                data.Add(words[0], words[1], words[2]);
            }
            return data;
        }
    }

    private const string List = """
        GetBucketAccelerateConfiguration GET ?accelerate
        GetBucketAcl GET ?acl
        GetBucketAnalyticsConfiguration GET ?analytics&id=1
        ListBucketAnalyticsConfigurations GET ?analytics
        GetBucketCors GET ?cors
        GetBucketIntelligentTieringConfiguration GET ?intelligent-tiering&id=1
        ListBucketIntelligentTieringConfigurations GET ?intelligent-tiering
        GetBucketInventoryConfiguration GET ?inventory&id=1
        ListBucketInventoryConfigurations GET ?inventory
        GetBucketLifecycleConfiguration GET ?lifecycle
        GetBucketLogging GET ?logging
        GetBucketMetadataConfiguration GET ?metadataConfiguration
        GetBucketMetadataTableConfiguration GET ?metadataTable
        GetBucketMetricsConfiguration GET ?metrics&id=1
        ListBucketMetricsConfigurations GET ?metrics
        GetBucketNotificationConfiguration GET ?notification
        GetBucketOwnershipControls GET ?ownershipControls
        GetBucketPolicy GET ?policy
        GetBucketPolicyStatus GET ?policyStatus
        GetPublicAccessBlock GET ?publicAccessBlock
        GetBucketReplication GET ?replication
        GetBucketRequestPayment GET ?requestPayment
        CreateSession GET ?session
        GetBucketWebsite GET ?website
        PutBucketAccelerateConfiguration PUT ?accelerate
        PutBucketAcl PUT ?acl
        PutBucketAnalyticsConfiguration PUT ?analytics&id=1
        PutBucketCors PUT ?cors
        PutBucketIntelligentTieringConfiguration PUT ?intelligent-tiering&id=1
        PutBucketInventoryConfiguration PUT ?inventory&id=1
        PutBucketLifecycleConfiguration PUT ?lifecycle
        PutBucketLogging PUT ?logging
        UpdateBucketMetadataInventoryTableConfiguration PUT ?metadataInventoryTable
        UpdateBucketMetadataJournalTableConfiguration PUT ?metadataJournalTable
        PutBucketMetricsConfiguration PUT ?metrics&id=1
        PutBucketNotificationConfiguration PUT ?notification
        PutBucketOwnershipControls PUT ?ownershipControls
        PutBucketPolicy PUT ?policy
        PutPublicAccessBlock PUT ?publicAccessBlock
        PutBucketReplication PUT ?replication
        PutBucketRequestPayment PUT ?requestPayment
        PutBucketWebsite PUT ?website
        CreateBucketMetadataConfiguration POST ?metadataConfiguration
        CreateBucketMetadataTableConfiguration POST ?metadataTable
        PostObject POST ?
        DeleteBucketAnalyticsConfiguration DELETE ?analytics&id=1
        DeleteBucketCors DELETE ?cors
        DeleteBucketIntelligentTieringConfiguration DELETE ?intelligent-tiering&id=1
        DeleteBucketInventoryConfiguration DELETE ?inventory&id=1
        DeleteBucketLifecycle DELETE ?lifecycle
        DeleteBucketMetadataConfiguration DELETE ?metadataConfiguration
        DeleteBucketMetadataTableConfiguration DELETE ?metadataTable
        DeleteBucketMetricsConfiguration DELETE ?metrics&id=1
        DeleteBucketOwnershipControls DELETE ?ownershipControls
        DeleteBucketPolicy DELETE ?policy
        DeletePublicAccessBlock DELETE ?publicAccessBlock
        DeleteBucketReplication DELETE ?replication
        DeleteBucketWebsite DELETE ?website
        GetObjectAcl GET /key?acl
        GetObjectAttributes GET /key?attributes
        GetObjectTorrent GET /key?torrent
        PutObjectAcl PUT /key?acl
        UpdateObjectEncryption PUT /key?encryption
        RenameObject PUT /key?renameObject
        RestoreObject POST /key?restore
        SelectObjectContent POST /key?select&select-type=2
        OptionsObject OPTIONS /key
        """;

    [Theory, MemberData(nameof(Operations))]
    public async Task An_operation_that_is_not_there_says_so_by_name_and_does_nothing(string operation, string method, string rest)
    {
        var bucket = await node.Client.NewBucketAsync();
        await node.Client.PutTextAsync(bucket, "key", "content");
        var answer = await node.Raw.SendAsync(new(method, $"/{bucket}{rest}"));
        Assert.Equal((501, "NotImplemented"), answer.Error);
        Assert.Equal(operation, answer.Element("Operation"));
        Assert.Contains(operation, answer.Element("Message"), StringComparison.Ordinal);
        Assert.Equal("content", await node.Client.GetTextAsync(bucket, "key"));
    }
}
