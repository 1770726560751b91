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
        GetBucketMetadataConfiguration GET ?metadataConfiguration
        GetBucketMetadataTableConfiguration GET ?metadataTable
        CreateSession GET ?session
        UpdateBucketMetadataInventoryTableConfiguration PUT ?metadataInventoryTable
        UpdateBucketMetadataJournalTableConfiguration PUT ?metadataJournalTable
        CreateBucketMetadataConfiguration POST ?metadataConfiguration
        CreateBucketMetadataTableConfiguration POST ?metadataTable
        DeleteBucketMetadataConfiguration DELETE ?metadataConfiguration
        DeleteBucketMetadataTableConfiguration DELETE ?metadataTable
        GetObjectTorrent GET /key?torrent
        UpdateObjectEncryption PUT /key?encryption
        RenameObject PUT /key?renameObject
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
